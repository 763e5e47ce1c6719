"""Units of the data to units of a network and back."""

import pytest
import torch

from haltere.policies.base import Signature
from haltere.policies.chunking.normaliser import MOST, Normaliser
from haltere.policies.regression.config import RegressionConfig
from haltere.policies.regression.model import RegressionPolicy


def fitted(size: int = 3) -> Normaliser:
    """Of a vector whose last entry never changes, and of commands whose last one doesn't."""
    mine = Normaliser({"state": size}, 2)
    mean, std = torch.linspace(-2.0, 5.0, size), torch.tensor([*[0.5] * (size - 1), 0.0])
    mine.fit({"state": (mean, std)}, torch.tensor([-0.2, 0.3]), torch.tensor([0.6, 0.3]))
    return mine


def test_what_is_sensed_gets_mean_0_and_deviation_1() -> None:
    """As torch's own mean and deviation have it; an entry that never changed keeps its unit, and nothing gets far."""
    mine, generator = fitted(), torch.Generator().manual_seed(0)
    values = torch.tensor([-2.0, 1.5, 5.0]) + torch.tensor([0.5, 0.5, 0.0]) * torch.randn(4000, 3, generator=generator)
    normal = mine.obs({"state": values})["state"]
    assert normal[:, :2].mean(0).abs().max() < 0.06
    assert (normal[:, :2].std(0) - 1.0).abs().max() < 0.05
    assert (normal[:, 2] == 0.0).all()
    far = mine.obs({"state": torch.tensor([[1e6, -1e6, 5.25]])})["state"]
    assert far.tolist() == [[MOST, -MOST, 0.25]]


def test_commands_fill_their_range_and_come_back() -> None:
    """From least to greatest is -1 to 1; a component that never changed comes back as it was."""
    mine = fitted()
    commands = torch.tensor([[-0.2, 0.3], [0.6, 0.3], [0.2, 0.3]])
    chunk = mine.chunk(commands)
    assert chunk[:, 0].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-6)
    torch.testing.assert_close(mine.command(chunk), commands)


def test_random_observations_are_as_widely_spread_as_the_data() -> None:
    """What parity is proven on comes from where something was learned."""
    signature = Signature({"state": (3,)}, 2)
    policy = RegressionPolicy(RegressionConfig(observed=2, width=8), signature)
    policy.normaliser.load_state_dict(fitted().state_dict())
    drawn = policy.random_obs(4000, torch.Generator().manual_seed(0))["state"]
    assert drawn.shape == (4000, 2, 3)
    assert (drawn.mean((0, 1)) - torch.tensor([-2.0, 1.5, 5.0])).abs().max() < 0.05
    assert (drawn[..., :2].std((0, 1)) - 0.5).abs().max() < 0.02
    back = policy.normaliser.obs({"state": drawn})["state"]
    torch.testing.assert_close(
        back, torch.randn(4000, 2, 3, generator=torch.Generator().manual_seed(0)), atol=1e-5, rtol=1e-5
    )
