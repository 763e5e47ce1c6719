"""A film of Push-T shows the bodies where they are, the way so far, the target and the plans, at one size."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.pusht.config import PushTConfig
from haltere.sims.pusht.task import PushT

SIZE = (540, 960, 3)
AGENT, BLOCK, PLAN, TARGET = (86, 156, 255), (180, 142, 104), (255, 196, 61), (226, 232, 240)
BOARD = (slice(42, 522), slice(240, 720))
SCALE = 480 / 512


@pytest.fixture
def env() -> PushT:
    """Two boards."""
    built = PushT(PushTConfig(), 2)
    built.reset(seed=[21, 22])
    return built


def where(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.int64]:
    """Columns and rows of the pixels of that very colour, from the board's corner on."""
    return np.argwhere((picture[BOARD] == colour).all(axis=-1))[:, ::-1]


def test_bodies_are_drawn_where_they_are(env: PushT) -> None:
    """The agent's middle and the T's, by its package's place; y goes down."""
    for _ in range(3):
        env.step(np.array([[0.0, 0.0], [-0.9, -0.9]], np.float32))
    picture = env.film(1)
    assert (picture.shape, picture.dtype) == (SIZE, np.uint8)
    x, y, block_x, block_y, yaw = env._worlds.shown[1]
    np.testing.assert_allclose(where(picture, AGENT).mean(axis=0) / SCALE, (x, y), atol=2.0)
    # The T's centroid lies 40.7 px from the middle of its top, along the stem.
    middle = (block_x - 40.7 * np.sin(yaw), block_y + 40.7 * np.cos(yaw))
    np.testing.assert_allclose(where(picture, BLOCK).mean(axis=0) / SCALE, middle, atol=4.0)


def test_target_and_plans_are_drawn(env: PushT) -> None:
    """A cross where the command points, and a line for each plan."""
    assert not len(where(env.film(0), PLAN))
    cross = where(env.film(0, {"action": np.array([0.5, -0.5])}), TARGET)
    np.testing.assert_allclose(cross.mean(axis=0) / SCALE, (384, 128), atol=2.0)
    plans = np.stack([np.stack([np.linspace(-0.9, 0.9, 16), np.full(16, y)], axis=1) for y in (-0.95, 0.95)])
    both, one = where(env.film(0, {"chunk": plans}), PLAN), where(env.film(0, {"chunk": plans[1]}), PLAN)
    assert set((both[:, 1] / SCALE > 256).tolist()) == {False, True}
    assert len(one) and (one[:, 1] / SCALE > 256).all()


def test_a_frame_depends_on_its_arguments_alone(env: PushT) -> None:
    """Drawing changes nothing, and the frame is the same after a load."""
    generator = np.random.default_rng(0)
    for _ in range(5):
        aux = {"action": generator.uniform(-1, 1, 2), "chunk": generator.uniform(-1, 1, (3, 16, 2))}
        assert (env.film(0, aux) == env.film(0, aux)).all()
        env.step(generator.uniform(-1, 1, (2, 2)).astype(np.float32))
    before = env.film(1)
    env.load_state_dict(env.state_dict())
    assert (env.film(1) == before).all()


@pytest.mark.parametrize(
    "aux",
    [
        *({"chunk": np.zeros((2, 3))}, {"chunk": np.zeros(2)}, {"chunk": np.full((4, 2), np.nan)}),
        *({"action": np.zeros(3)}, {"chunk": np.zeros((2, 1))}),
    ],
)
def test_what_cannot_be_drawn_is_refused(env: PushT, aux: dict[str, Any]) -> None:
    """One sentence that names it."""
    with pytest.raises(HaltereError, match=f"PushT can't be drawn: {next(iter(aux))}"):
        env.film(0, aux)
