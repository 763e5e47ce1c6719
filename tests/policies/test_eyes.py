"""Images in policies that plan chunks: points of a picture, and that every such policy goes by them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from haltere.configs.errors import ConfigError
from haltere.policies.base import Signature
from haltere.policies.chunking.base import ChunkPolicy
from haltere.policies.chunking.eyes import FEATURES, Eyes, spatial_softmax
from haltere.policies.registry import build_policy, policy_config_type

SIGNATURE = Signature({"eye": (3, 16, 16), "state": (2,)}, 2)
SMALL: dict[str, dict[str, Any]] = {
    "act": {"width": 16, "encoder_layers": 1, "latent": 4, "kl_weight": 0.0},
    "diffusion": {"width": 16, "layers": 1},
    "ebt": {"width": 16, "layers": 1},
    "mode": {"width": 16, "layers": 1},
    "regression": {"width": 16},
}
every_policy = pytest.mark.parametrize("name", SMALL)


def policy(name: str, signature: Signature = SIGNATURE, **settings: Any) -> ChunkPolicy[Any]:  # noqa: ANN401
    """A small one."""
    config = policy_config_type(name)(**SMALL[name], **settings, horizon=4, executed=2)
    built = build_policy(config, signature, seed=0)
    assert isinstance(built, ChunkPolicy)
    return built


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_points_are_means_of_a_softmax(count: int, maps: int, height: int, width: int, seed: int) -> None:
    """Finn et al., section IV-A, cell by cell in numpy's float64."""
    values = 4.0 * np.random.default_rng(seed).standard_normal((count, maps, height, width))
    got = spatial_softmax(torch.from_numpy(values).float()).numpy()
    share = np.exp(values) / np.exp(values).sum(axis=(2, 3), keepdims=True)
    for image in range(count):
        for channel in range(maps):
            column = sum(share[image, channel, i, j] * (2 * j / (width - 1) - 1) for i, j in np.ndindex(height, width))
            row = sum(share[image, channel, i, j] * (2 * i / (height - 1) - 1) for i, j in np.ndindex(height, width))
            np.testing.assert_allclose(got[image, [channel, maps + channel]], [column, row], atol=1e-5)


def test_a_bright_cell_is_the_point() -> None:
    """Columns come first; the right and the lower edge are 1."""
    maps = torch.zeros(1, 2, 3, 5)
    maps[0, 0, 0, 4] = maps[0, 1, 2, 1] = 100.0
    torch.testing.assert_close(spatial_softmax(maps), torch.tensor([[1.0, -0.5, -1.0, 1.0]]))


def test_an_image_becomes_a_vector_for_each_step() -> None:
    """In its place among the others, which stay as they are; a step's depends on its own image alone."""
    eyes = Eyes({"state": (2,), "eye": (3, 16, 20)})
    obs = {"state": torch.randn(5, 3, 2), "eye": torch.rand(5, 3, 3, 16, 20)}
    seen = eyes(obs)
    assert list(seen) == ["state", "eye"] and seen["state"] is obs["state"]
    assert seen["eye"].shape == (5, 3, FEATURES)
    alone = eyes({"eye": obs["eye"][2:3, 1:2]})["eye"]
    torch.testing.assert_close(alone[0, 0], seen["eye"][2, 1], rtol=1e-5, atol=1e-5)


def test_without_images_there_is_nothing_to_learn() -> None:
    """Weights of a policy that sees none have the names that they always had."""
    names = policy("regression", Signature({"state": (3,)}, 2)).state_dict()
    assert not [name for name in names if name.startswith("eyes")]


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 16, 16), (3, 7, 16), (3, 16), (2, 3, 16, 16)])
def test_what_is_neither_vector_nor_image_is_refused(shape: tuple[int, ...]) -> None:
    """With its name and its shape."""
    with pytest.raises(ConfigError, match=r"images \(3, H, W\) of at least 8 pixels a side, and 'odd' has the shape"):
        policy("regression", Signature({"state": (2,), "odd": shape}, 2))


def squares(count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """A bright square somewhere in a dark picture, and chunks that command its place."""
    drawn = torch.randint(1, 13, (count, 2), generator=torch.Generator().manual_seed(seed))
    eye = torch.zeros(count, 1, 3, 16, 16)
    for image, (column, row) in zip(eye, drawn.tolist(), strict=True):
        image[0, :, row : row + 3, column : column + 3] = 1.0
    return {"eye": eye, "state": torch.zeros(count, 1, 2)}, (drawn / 6.5 - 1.0)[:, None].expand(-1, 4, -1)


@every_policy
def test_a_loss_teaches_the_eyes(name: str) -> None:
    """Each of their weights has a gradient after an update or two, when nothing begins as zero any more."""
    mine = policy(name, observed=1)
    optimizer, generator = torch.optim.Adam(mine.parameters(), lr=1e-2), torch.Generator().manual_seed(1)
    for _ in range(3):
        optimizer.zero_grad()
        mine.loss(*squares(16, seed=2), generator)["loss"].backward()
        optimizer.step()
    # A shift of a whole map moves no point.
    spare = {"eyes.eye.layers.9.bias"}
    still = [n for n, weight in mine.eyes.named_parameters("eyes") if weight.grad is None or not weight.grad.any()]
    assert set(still) <= spare
