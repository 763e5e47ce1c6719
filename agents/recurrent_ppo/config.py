"""What can be set about proximal policy optimisation of a policy with memory."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict


@dataclass(frozen=True)
class Narrowed:
    """A part of the training in which a memory of chunks reads fewer of them than it will.

    Attributes:
        until: training's agent steps at which it is over.
        top_k: chunks that are read in each step.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    until: Annotated[int, Ge(1)]
    top_k: Annotated[int, Ge(1)]


@dataclass(frozen=True)
class RecurrentPPOConfig:
    """Proximal policy optimisation over whole episodes of tasks with choices.

    Attributes:
        type: discriminator in a task's YAML.
        total_steps: agent steps to train for, those without effect included; rounded up to whole episodes.
        checkpoint_every: agent steps from one checkpoint to the next; rounded up to a whole iteration.
        worlds: worlds side by side, each of which plays one episode between two updates; lanes are worlds x agents.
        tries: worlds that are given the same seed, next to each other: what they sense until they act is worked out
            once for all of them. A group of rollouts, as in Shao et al. 2024, arXiv:2402.03300. Must divide ``worlds``.
        free: of the tries of each seed, how many choose anew at every step; the others hold on to their first choice,
            which then has all of what follows to its credit, undiscounted, so that ``gamma`` must be 1, and cost next
            to nothing. All where ``None``.
        bound: what those hold on to: a choice that they ``draw`` as any other, or ``each`` of the choices once. That
            leaves nothing of it to chance: each counts as much as it is probable, and the gradient is that of the
            logarithm of what can be expected of a first choice that is held on to (of that itself, in units of 0.02,
            below 0.02). Sutton et al. 2001, "Comparing policy-gradient algorithms", all actions.
        baseline: what a return is compared with. The ``critic``'s values, which also say what an episode that a time
            limit cut off was still worth, but for who holds on to a first choice. Or the mean of the other ``tries``
            (leave one out; Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!"), in units of the mean
            of all of them rather than scaled to the minibatch; an episode that was cut off was worth no more.
        noise: what a choice is drawn with, anew for each ``step``, or once for each ``episode``: equal scores then make
            equal choices, so that a beginner gets somewhere. The first choice has the same probabilities either way.
            A later one is then repeated more often than its probability says, which makes its gradient approximate.
        batch_episodes: episodes in a minibatch; an epoch is cut into equal parts of at most this many.
        epochs: passes over each iteration's episodes.
        learning_rate: Adam's step size at the start.
        learning_rate_final: Adam's step size at ``total_steps``; falls linearly.
        adam_eps: Adam's epsilon.
        adam_beta2: how much of its mean square of the gradient Adam keeps in each update.
        gamma: discount per step that acts; what happens while the agent can't act takes no time.
        gae_lambda: trade between bias and variance, with the critic; Schulman et al. 2016, arXiv:1506.02438, equation
            16.
        clip_range: of the probability ratio; Schulman et al. 2017, arXiv:1707.06347, equation 7.
        clip_range_vf: largest move of a value in one update, in units of return; none where ``None``.
        ent_coef: weight of the entropy bonus at the start.
        ent_coef_final: the same at ``total_steps``; falls linearly.
        vf_coef: weight of the value loss.
        max_grad_norm: gradients are scaled down to this Euclidean norm.
        critic_width: units in the critic's hidden layer; it starts from the policy's features.
        critic_detach: whether the critic's gradients stop at those features.
        narrowed: a curriculum on ``policy.top_k``: stages in which fewer chunks are read, in the order of their ends.
            Who can read nearly all of the past learns to do without finding anything in it. Without effect on memories
            that have no chunks.
        reconstruction: weight of the loss that asks the features what was sensed; 0 switches it off. Lampinen et al.
            2021, arXiv:2105.14039, section 3.
        reconstruction_steps: steps of each episode that are asked, drawn anew for each minibatch; with several
            ``tries``, steps of what they have in common.
        target_kl: an update stops early beyond 1.5 times this divergence; never where ``None``.
        torch_threads: of the learner. Part of the configuration because the order of torch's sums, and so the bits of
            the result, depend on it.
        episode_window: agent episodes that the logged means run over.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["recurrent_ppo"] = "recurrent_ppo"
    total_steps: Annotated[int, Ge(1), Le(10**12)] = 50_000_000
    checkpoint_every: Annotated[int, Ge(1), Le(10**12)] = 1_000_000
    worlds: Annotated[int, Ge(1), Le(100_000)] = 128
    tries: Annotated[int, Ge(1), Le(100_000)] = 1
    free: Annotated[int, Ge(0), Le(100_000)] | None = None
    bound: Literal["draw", "each"] = "draw"
    baseline: Literal["critic", "tries"] = "critic"
    noise: Literal["step", "episode"] = "step"
    batch_episodes: Annotated[int, Ge(1), Le(100_000)] = 64
    epochs: Annotated[int, Ge(1), Le(1000)] = 2
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    learning_rate_final: Annotated[float, Ge(0)] = 5e-5
    adam_eps: Annotated[float, Gt(0)] = 1e-6
    adam_beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    gamma: Annotated[float, Gt(0), Le(1)] = 0.95
    gae_lambda: Annotated[float, Ge(0), Le(1)] = 0.95
    clip_range: Annotated[float, Gt(0)] = 0.2
    clip_range_vf: Annotated[float, Gt(0)] | None = None
    ent_coef: Annotated[float, Ge(0)] = 0.01
    ent_coef_final: Annotated[float, Ge(0)] = 0.001
    vf_coef: Annotated[float, Ge(0)] = 0.5
    max_grad_norm: Annotated[float, Gt(0)] = 0.5
    critic_width: Annotated[int, Ge(1), Le(4096)] = 64
    critic_detach: bool = False
    narrowed: tuple[Narrowed, ...] = ()
    reconstruction: Annotated[float, Ge(0)] = 0.0
    reconstruction_steps: Annotated[int, Ge(1), Le(10_000)] = 8
    target_kl: Annotated[float, Gt(0)] | None = None
    torch_threads: Annotated[int, Ge(1), Le(1024)] = 1
    episode_window: Annotated[int, Ge(1), Le(1_000_000)] = 2000
