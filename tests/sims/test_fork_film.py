"""A film of manip-fork shows the bodies, the way so far, the command and the plans, at one size."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.film import planned
from haltere.sims.mujoco.fork.task import ManipFork

SIZE = (540, 960, 3)
PADDLE, PLAN, ACTION = (86, 156, 255), (255, 196, 61), (226, 232, 240)
TABLE_AT = slice(42, 505)


@pytest.fixture
def env() -> ManipFork:
    """Two tables."""
    built = ManipFork(ForkConfig(), 2)
    built.reset(seed=[21, 22])
    return built


def where(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.int64]:
    """Rows and columns of the pixels of that very colour, on the table."""
    return np.argwhere((picture[TABLE_AT] == colour).all(axis=-1))


def test_the_paddle_moves_ahead_to_the_right_and_left_upwards(env: ManipFork) -> None:
    """By as many pixels as metres, in both axes alike; what it has left behind is drawn as a trail."""
    before, first = env.film(1), env.state_dict()["body"][1, :2]
    for _ in range(2):
        env.step(np.array([[0.0, 0.0], [0.3, 0.9]], np.float32))
    after, second = env.film(1), env.state_dict()["body"][1, :2]
    assert before.shape == SIZE
    assert before.dtype == np.uint8
    moved = where(after, PADDLE).mean(axis=0) - where(before, PADDLE).mean(axis=0)
    scale = moved / (second - first)[::-1] / (-1.0, 1.0)
    assert scale[0] == pytest.approx(scale[1], rel=0.05)
    assert scale[0] > 800
    at = where(before, PADDLE).mean(axis=0).round().astype(int)
    assert (after[TABLE_AT][tuple(at)] != before[TABLE_AT][tuple(at)]).any()


def test_command_and_plans_are_drawn(env: ManipFork) -> None:
    """An arrow to where the command points, and a line for each plan, one on each side here."""
    assert not len(where(env.film(0), PLAN))
    middle = where(env.film(0), PADDLE).mean(axis=0)
    left = where(env.film(0, {"action": np.array([0.0, 1.0])}), ACTION)
    assert (left[:, 0] < middle[0] + 3).all() and len(left) > 20
    plans = np.stack([np.tile([0.5, side], (8, 1)) for side in (-0.6, 0.6)])
    both, one = where(env.film(0, {"chunk": plans}), PLAN), where(env.film(0, {"chunk": plans[1]}), PLAN)
    assert both[:, 0].min() < middle[0] - 60 and both[:, 0].max() > middle[0] + 60
    assert (where(env.film(0, {"chunk": plans[1]}), PLAN) == one).all()
    assert len(one) and one[:, 0].max() < middle[0] + 40


def test_a_plan_leads_where_the_paddle_goes(env: ManipFork) -> None:
    """The integrated commands against the simulator's own way, while it meets nothing."""
    plan = np.random.default_rng(0).uniform((-0.6, -1.0), (0.1, 1.0), (6, 2))
    body = env.state_dict()["body"]
    way = planned(body[0, :2], body[0, 5:7], plan[None])[0]
    for step, command in enumerate(plan, start=1):
        env.step(np.stack([command, command]).astype(np.float32))
        np.testing.assert_allclose(env.state_dict()["body"][0, :2], way[step], atol=1e-6)


def test_a_frame_depends_on_its_arguments_alone(env: ManipFork) -> None:
    """Drawing changes nothing, and works after a load, at every moment and wherever things are."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        aux = {"action": generator.uniform(-1, 1, 2), "chunk": generator.uniform(-1, 1, (3, 16, 2))}
        assert (env.film(0, aux) == env.film(0, aux)).all()
        env.step(generator.uniform(-1, 1, (2, 2)).astype(np.float32))
    env.load_state_dict(env.state_dict())
    assert env.film(1).shape == SIZE


@pytest.mark.parametrize(
    "aux",
    [
        *({"chunk": np.zeros((2, 3))}, {"chunk": np.zeros(2)}, {"chunk": np.full((4, 2), np.nan)}),
        *({"action": np.zeros(3)}, {"chunk": np.zeros((2, 1))}),
    ],
)
def test_what_cannot_be_drawn_is_refused(env: ManipFork, aux: dict[str, Any]) -> None:
    """One sentence that names it."""
    with pytest.raises(HaltereError, match=f"ManipFork can't be drawn: {next(iter(aux))}"):
        env.film(0, aux)
