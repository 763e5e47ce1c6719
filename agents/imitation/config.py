"""What can be set about learning from demonstrations."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict


@dataclass(frozen=True)
class ImitationConfig:
    """Learning from demonstrations, with the loss that the policy brings.

    Optimiser, moving average and schedule as in Diffusion Policy (Chi et al. 2023, arXiv:2303.04137) and its published
    code. A step is one update of the weights here.

    Attributes:
        type: discriminator in a task's YAML.
        demos: folder of the demonstrations; ``demos/TASK`` where none is given. ``haltere demos TASK`` records them.
        episodes: of the demonstrations, how many are learned from, the first ones; all where none is given.
        total_steps: updates. A resumed run with another number goes on along that number's schedule.
        checkpoint_every: updates from one checkpoint to the next; rounded up to a whole iteration.
        batch_size: moments of the demonstrations in an update.
        learning_rate: AdamW's step size, after ``warm_up`` updates from nothing; falls to nothing along a half cosine.
        warm_up: updates.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the mean squared gradient.
        weight_decay: AdamW's.
        max_grad_norm: gradients are scaled down to this Euclidean norm.
        average_power: after n updates the moving average of the weights, which is the policy, keeps
            1 - (1 + n)^-power of itself.
        average_most: and this at most.
        iteration: updates between two rows of metrics.
        held_out: share of the episodes, the last ones, that are not learned from; their loss is logged.
        rollout_every: updates between two rollouts in the task, on seeds that neither demonstrations nor evaluations
            use, to see success grow; 0 for none. They change nothing about the training.
        rollout_episodes: episodes of such a rollout.
        torch_threads: of the learner; the bits of the result depend on it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    unit: ClassVar[str] = "updates"

    type: Literal["imitation"] = "imitation"
    demos: str | None = None
    episodes: Annotated[int, Ge(1)] | None = None
    total_steps: Annotated[int, Ge(1), Le(10**9)] = 30_000
    checkpoint_every: Annotated[int, Ge(1), Le(10**9)] = 2_000
    batch_size: Annotated[int, Ge(1), Le(65_536)] = 128
    learning_rate: Annotated[float, Gt(0)] = 5e-4
    warm_up: Annotated[int, Ge(0)] = 500
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.95
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    weight_decay: Annotated[float, Ge(0)] = 1e-6
    max_grad_norm: Annotated[float, Gt(0)] = 1.0
    average_power: Annotated[float, Gt(0), Le(1)] = 0.75
    average_most: Annotated[float, Ge(0), Lt(1)] = 0.9999
    iteration: Annotated[int, Ge(1), Le(100_000)] = 100
    held_out: Annotated[float, Ge(0), Lt(1)] = 0.05
    rollout_every: Annotated[int, Ge(0)] = 5_000
    rollout_episodes: Annotated[int, Ge(1), Le(10_000)] = 50
    torch_threads: Annotated[int, Ge(1), Le(256)] = 1
