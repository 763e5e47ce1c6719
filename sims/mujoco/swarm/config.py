"""What can be set about the swarm's world."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

Scenario = Literal["mix", "random", "shared", "swap", "pursuit", "moving"]
Weight = Annotated[float, Ge(0.0), Le(1e3)]


@dataclass(frozen=True)
class RewardConfig:
    """Weights of the cost; per control step but for ``contact``. Source: the swarm paper's training configuration.

    Attributes:
        distance: per metre to the goal.
        effort: per norm of the action.
        floor: for lying on the floor.
        tilt: for the cosine of the tilt; upright pays.
        spin: per rad/s of body rate.
        contact: once for each new contact with a drone or a cylinder.
        proximity: falls from this at no distance to zero at four arms, half of it at contact; per neighbour and
            second.
        clearance: at a cylinder's surface, falling to zero at a quarter metre of free air; per second. Not published,
            hence 0 unless a task file says otherwise.
        anneal_steps: agent steps over which contact, proximity and clearance grow from zero in training; 0 is none.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    distance: Weight = 1.0
    effort: Weight = 0.05
    floor: Weight = 1.0
    tilt: Weight = 1.0
    spin: Weight = 0.1
    contact: Weight = 5.0
    proximity: Weight = 4.0
    clearance: Weight = 0.0
    anneal_steps: Annotated[int, Ge(0)] = 300_000_000


@dataclass(frozen=True)
class SwarmForestConfig:
    """The forest and who flies in it.

    Attributes:
        drones: quadrotors in one world.
        density: share of the 64 cells that hold a cylinder.
        obstacle_diameter_m: of every cylinder.
        neighbours: how many others each drone senses.
        scenario: ``mix`` draws random or shared for each episode; swap, pursuit and moving are held out of training.
        episode_s: length of an episode.
        noise: scale of sensor and thrust noise; 1 is as published.
        downwash: whether a drone pushes those below it.
        replay_probability: in training, how often an episode goes on from a clip of an earlier collision.
        reward: weights of the cost.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    drones: Annotated[int, Ge(1), Le(64)] = 8
    density: Annotated[float, Ge(0.0), Le(0.9)] = 0.2
    obstacle_diameter_m: Annotated[float, Gt(0.0), Le(0.9)] = 0.6
    neighbours: Annotated[int, Ge(1), Le(8)] = 2
    scenario: Scenario = "mix"
    episode_s: Annotated[float, Ge(1.0), Le(600.0)] = 15.0
    noise: Annotated[float, Ge(0.0), Le(100.0)] = 1.0
    downwash: bool = True
    replay_probability: Annotated[float, Ge(0.0), Le(1.0)] = 0.75
    reward: RewardConfig = field(default_factory=RewardConfig)
