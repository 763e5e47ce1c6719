"""A lane is one agent of one world, there and back."""

import numpy as np
import pytest

from haltere.sims.lanes import array_from_lanes, from_lanes, signature_shapes, to_lanes, world_to_lanes
from tests.sims.toys import Drift, DriftConfig


def test_lane_order_is_world_major() -> None:
    """Lane w * agents + a is agent a of world w, for data and for what a world gives to all its agents."""
    tree = {"x": np.arange(24).reshape(3, 4, 2), "y": np.arange(12).reshape(3, 4)}
    lanes = to_lanes(tree, 4)
    assert lanes["x"].shape == (12, 2)
    for world in range(3):
        for agent in range(4):
            assert (lanes["x"][world * 4 + agent] == tree["x"][world, agent]).all()
            assert lanes["y"][world * 4 + agent] == tree["y"][world, agent]
    assert world_to_lanes(np.array([True, False, True]), 4).tolist() == [True] * 4 + [False] * 4 + [True] * 4


@pytest.mark.parametrize("agents", [None, 1, 4])
def test_there_and_back(agents: int | None) -> None:
    """from_lanes undoes to_lanes, and neither copies a contiguous array."""
    tree = {"x": np.zeros((3, 4 if agents == 4 else 1, 2))}
    back = from_lanes(to_lanes(tree, agents), agents)
    assert back["x"].shape == tree["x"].shape
    assert np.shares_memory(back["x"], tree["x"])


def test_one_agent_has_no_agent_axis() -> None:
    """Where a task has no agents axis, a lane is a world."""
    assert array_from_lanes(np.zeros((5, 2)), None).shape == (5, 2)
    assert world_to_lanes(np.ones(5, np.bool_), None).shape == (5,)


@pytest.mark.parametrize("agents", [None, 3])
def test_signature_is_one_agents(agents: int | None) -> None:
    """A policy is built for one lane, whatever the number of worlds and agents."""
    shapes, action = signature_shapes(Drift(DriftConfig(agents=agents), 2))
    assert shapes == {"place": (1,), "clock": (1,)}
    assert action == 2


@pytest.mark.parametrize("agents", [None, 3])
def test_spaces_have_worlds_before_agents(agents: int | None) -> None:
    """Gymnasium's four spaces: (W, agents, ...) batched, (agents, ...) single, without the axis for one agent."""
    env = Drift(DriftConfig(agents=agents), 2)
    inner = () if agents is None else (agents,)
    assert env.single_action_space.shape == (*inner, 2)
    assert env.action_space.shape == (2, *inner, 2)
    assert env.single_observation_space["place"].shape == (*inner, 1)
    obs, _ = env.reset(seed=3)
    assert obs in env.observation_space
