"""What is wanted at a few steps is what all steps give, with its gradients, and the state is that after all of them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from haltere.policies.base import Signature
from haltere.policies.memory.model import MemoryPolicy, Sequence
from tests.policies.memories import SMALL, VARIANTS

LANES, STEPS = 4, 23


def remembered(policy: MemoryPolicy, at: Tensor | None) -> tuple[Sequence, list[Tensor]]:
    """A sequence that begins within an episode, and the gradients of what comes of some of its steps."""
    draw = torch.Generator().manual_seed(1)
    before, x = (torch.randn(LANES, n, policy.config.width, generator=draw) for n in (9, STEPS))
    x.requires_grad_()
    starts = torch.zeros(LANES, STEPS, dtype=torch.bool)
    starts[1, 6] = starts[2, 0] = True
    with torch.no_grad():
        state = policy.remember(before, policy.initial_state(LANES), torch.zeros(LANES, 9, dtype=torch.bool)).state
    done = policy.remember(x, state, starts, reading=True, at=at)
    wanted = done.scores if at is not None else done.scores[torch.arange(LANES)[:, None], steps()]
    gradients = torch.autograd.grad((wanted * torch.arange(1.0, 4.0)).sum(), [x, *policy.layers.parameters()])
    return done, list(gradients)


def steps() -> Tensor:
    """Which steps are wanted, some of them twice."""
    return torch.randint(0, STEPS, (LANES, 3), generator=torch.Generator().manual_seed(2)).index_fill(
        0, torch.tensor([3]), STEPS - 1
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_some_steps_are_those_of_all(name: str) -> None:
    """Features, scores, what was read, state and gradients."""
    config = replace(SMALL, layers=2, **VARIANTS[name])  # type: ignore[arg-type]
    torch.manual_seed(0)
    policy = MemoryPolicy(config, Signature({"seen": (5,)}, 3))
    (all_steps, wanted), (some, got) = remembered(policy, None), remembered(policy, steps())
    lanes = torch.arange(LANES)[:, None]
    torch.testing.assert_close(some.features, all_steps.features[lanes, steps()], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(some.scores, all_steps.scores[lanes, steps()], atol=1e-5, rtol=1e-5)
    assert (some.read is None) == (all_steps.read is None)
    if some.read is not None and all_steps.read is not None:
        torch.testing.assert_close(some.read[:, :, 0], all_steps.read[lanes, steps()][:, :, 1], atol=1e-5, rtol=1e-5)
    for key, tensor in all_steps.state.items():
        torch.testing.assert_close(some.state[key], tensor, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
