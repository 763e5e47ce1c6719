"""What can be set about proximal policy optimisation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation with many lanes and few epochs.

    Starting point: Huang et al. 2023, arXiv:2309.13285, section V-A (Adam at eps 1e-6, ratio clip 0.1, value clip 5,
    value coefficient 0.5, discount 0.99, no entropy bonus, free log-std from 0, gradient clip 5), whose
    36 workers x 4 worlds x 8 drones are lanes of one batch here.

    Attributes:
        type: discriminator in a task's YAML.
        total_steps: agent steps to train for; rounded up to a whole rollout.
        checkpoint_every: agent steps from one checkpoint to the next; rounded up to a whole rollout.
        worlds: worlds side by side; lanes are worlds x agents.
        rollout_steps: control steps that each lane takes between two updates.
        batch_size: lane steps in a minibatch; an epoch is cut into equal parts of at most this many.
        epochs: passes over each rollout.
        learning_rate: Adam's step size at the start.
        learning_rate_final: Adam's step size at ``total_steps``; falls linearly.
        adam_eps: Adam's epsilon.
        gamma: discount per control step.
        gae_lambda: trade between bias and variance; Schulman et al. 2016, arXiv:1506.02438, equation 16.
        clip_range: of the probability ratio; Schulman et al. 2017, arXiv:1707.06347, equation 7.
        clip_range_vf: largest move of a value in one update, in units of return; none where ``None``.
        ent_coef: weight of the entropy bonus; without effect, and refused, where ``log_std_final`` sets the noise.
        vf_coef: weight of the value loss.
        max_grad_norm: gradients are scaled down to this Euclidean norm.
        log_std_init: natural logarithm of the action noise's standard deviation at the start.
        log_std_final: the same at ``total_steps``; falls linearly, and isn't learned. Learned where ``None``: the noise
            then shrinks as slowly as it pays, and a policy may come to need it, to shake itself free for instance.
        critic_width: units in each of the critic's two hidden layers.
        init: ``policy`` leaves the actor as its own code drew it; ``xavier`` and ``orthogonal`` draw every linear layer
            of it anew. The critic is orthogonal where the actor is, and Xavier otherwise.
        target_kl: an update stops early beyond 1.5 times this divergence; never where ``None``.
        torch_threads: of the learner. Part of the configuration because the order of torch's sums, and so the bits of
            the result, depend on it; networks this small train fastest on one.
        episode_window: agent episodes that the logged means run over.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["ppo"] = "ppo"
    total_steps: Annotated[int, Ge(1), Le(10**12)] = 300_000_000
    checkpoint_every: Annotated[int, Ge(1), Le(10**12)] = 10_000_000
    worlds: Annotated[int, Ge(1), Le(100_000)] = 256
    rollout_steps: Annotated[int, Ge(1), Le(10_000)] = 64
    batch_size: Annotated[int, Ge(2), Le(10**9)] = 8192
    epochs: Annotated[int, Ge(1), Le(1000)] = 2
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    learning_rate_final: Annotated[float, Ge(0)] = 5e-5
    adam_eps: Annotated[float, Gt(0)] = 1e-6
    gamma: Annotated[float, Gt(0), Le(1)] = 0.99
    gae_lambda: Annotated[float, Ge(0), Le(1)] = 0.95
    clip_range: Annotated[float, Gt(0)] = 0.1
    clip_range_vf: Annotated[float, Gt(0)] | None = 5.0
    ent_coef: Annotated[float, Ge(0)] = 0.0
    vf_coef: Annotated[float, Ge(0)] = 0.5
    max_grad_norm: Annotated[float, Gt(0)] = 5.0
    log_std_init: Annotated[float, Ge(-20), Le(5)] = 0.0
    log_std_final: Annotated[float, Ge(-20), Le(5)] | None = None
    critic_width: Annotated[int, Ge(1), Le(4096)] = 64
    init: Literal["policy", "xavier", "orthogonal"] = "policy"
    target_kl: Annotated[float, Gt(0)] | None = None
    torch_threads: Annotated[int, Ge(1), Le(1024)] = 1
    episode_window: Annotated[int, Ge(1), Le(1_000_000)] = 2000
