"""Driving a route through a town among others: ``haltere/CarlaRoute-v0``.

Masks, command and success are those of VLM-RL (Huang et al. 2024, arXiv:2412.15544, and its code), which later tasks
build on; the state has more than its three numbers, and the reward is plain progress.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.actor import Actor
from haltere.sims.bodied import BodiedTask
from haltere.sims.carla.route.config import RouteConfig
from haltere.sims.carla.route.expert import Experts
from haltere.sims.carla.route.masks import CHANNELS, SIDE_PX
from haltere.sims.carla.route.world import STEP_S, WAYPOINTS, RouteWorld
from haltere.sims.carla.route.worlds import Worlds
from haltere.sims.chance import IntArray
from haltere.sims.single import Float32Array, Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "completion", "collisions", "off_lane", "red_lights", "speed_mps", "distance_km", "steps")
STATE_SIZE = 8
_MASKS = "from above, in [0, 1], 5 px/m, ahead is up, the agent 40 px above the middle of the lower edge: "
UNITS = {
    "now": _MASKS + "road, lane marks (broken ones 0.5), vehicles",
    "before": _MASKS + "vehicles 15, 10 and 5 steps ago",
    "waypoints": "the next 15 points of the route, 1 m apart: ahead and to the right of the agent [m], and so on",
    "state": "wheel, 1 is all to the right; pedals, 1 full throttle and -1 full brake; speed [m/s]; speed limit [m/s]; "
    "to the line of a light that isn't green [m], 50 where there is none so near; to the right of the route [m]; "
    "turned away from it [rad]; what is left of it [m]",
    "action": "wheel, 1 is all to the right, of which a step takes up a quarter; pedals, -1 is the full brake",
}
REWARD_PER_M, ARRIVED, FAILED = 0.1, 10.0, -10.0
MOST = 16
"""Worlds: a server of our own takes 0.1 GB and a process."""


@task(
    "haltere/CarlaRoute-v0",
    config=RouteConfig,
    metrics=METRICS,
    rates=("success", "completion", "collisions", "off_lane"),
    ctrl_dt_s=STEP_S,
    sim="carla",
    units=UNITS,
    frequencies={"collisions_per_km": ("collisions", "distance_km")},
)
class CarlaRoute(BodiedTask[RouteConfig, Worlds]):
    """W towns with one agent each.

    The reward of a step is 0.1 a metre of progress along the route, less the further the agent is beside it: none at
    ``off_route_m``. Arriving within 5 m of the end brings 10, and an episode that ends in a collision, off the route or
    after standing for too long 10 less.

    Metrics: success, which is arriving; completion, how much of the route was driven; collisions, of which the first
    ends an episode; off_lane, the share of steps at which the agent's middle was outside of its lane; red_lights, lines
    crossed at a red light; speed_mps and distance_km of the whole episode; and steps. An evaluation says
    collisions_per_km too.
    """

    def __init__(self, config: RouteConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Begin a server a world; the arguments are the base class's.

        Raises:
            RequestError: as the base class; no such town, more worlds than can be had, or no length between the bounds.
            HaltereError: a server doesn't answer.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        if config.shortest_m > config.longest_m:
            bounds = f"env.shortest_m is {config.shortest_m:g}, more than env.longest_m, {config.longest_m:g}"
            raise RequestError(bounds)
        most = self.most_worlds(config)
        if num_envs > most:
            where = "in a CARLA that runs already" if config.carla.host else "at a time, each with a server of its own"
            raise RequestError(f"{self.spec_.id} has at most {most} worlds {where}, got {num_envs}")
        self._worlds = Worlds(config, num_envs, threads)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``now`` and ``before`` (3, 192, 192), ``waypoints`` (30,) and ``state`` (8,); see ``UNITS``."""
        masks = spaces.Box(0.0, 1.0, (CHANNELS, SIDE_PX, SIDE_PX), np.float32)
        return spaces.Dict(
            {
                "now": masks,
                "before": masks,
                "waypoints": spaces.Box(-np.inf, np.inf, (2 * WAYPOINTS,), np.float32),
                "state": spaces.Box(-np.inf, np.inf, (STATE_SIZE,), np.float32),
            }
        )

    @property
    def agent_action_space(self) -> spaces.Box:
        """Wheel and pedals, (2,)."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    @classmethod
    def most_worlds(cls, config: RouteConfig) -> int:
        """One in a CARLA that runs already, which has one time for all."""
        return 1 if config.carla.host else MOST

    def expert(self) -> Actor:
        """The driver of the others, at the agent's wheel."""
        return Experts(self._worlds.roads)

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world from above; see the base class."""
        from haltere.sims.carla.route.film import frame  # only those who look need Pillow

        return frame(self._worlds.roads[world], aux or {})

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ANN401 -- Gymnasium's
        """End the servers; ``close`` calls it once."""
        del kwargs
        self._worlds.close()

    def _observe(self) -> ObsTree:
        roads = self._worlds.roads
        seen = [road.masks.seen(road.seen.place[0], float(road.seen.turned[0])) for road in roads]
        masks = np.stack(seen).astype(np.float32) / np.float32(255.0)
        return {
            "now": masks[:, :CHANNELS].copy(),
            "before": masks[:, CHANNELS:].copy(),
            "waypoints": np.stack([road.waypoints().reshape(-1) for road in roads]).astype(np.float32),
            "state": np.array([_state(road) for road in roads], np.float32),
        }

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds)

    def _move(self, meant: Float32Array) -> Outcome:
        self._worlds.step(meant.astype(np.float64))
        rows = np.array([self._judged(road) for road in self._worlds.roads])
        reward, failed, arrived = rows.T
        ended = (failed + arrived) > 0.0
        over = ~ended & (self._worlds.clock >= round(self.config.limit_s / STEP_S))
        return reward.astype(np.float32), ended, over

    def _judged(self, road: RouteWorld) -> tuple[float, bool, bool]:
        """Reward, and whether the agent has failed or arrived."""
        away = abs(road.aside_m)
        stuck = road.standing >= round(self.config.standing_s / STEP_S)
        failed = road.collided or stuck or away > self.config.off_route_m
        arrived = road.arrived and not failed
        reward = REWARD_PER_M * road.progress_m * max(0.0, 1.0 - away / self.config.off_route_m)
        return reward + ARRIVED * arrived + FAILED * failed, failed, arrived

    def _measures(self) -> NDArray[Any]:
        return np.array([_measures(road, self._judged(road)[2]) for road in self._worlds.roads]).T


def _state(road: RouteWorld) -> tuple[float, ...]:
    wheel, pedals = road.command
    place = road.line_m(), road.aside_m, road.turned_off(), road.way.length_m - road.along_m
    return wheel, pedals, float(road.seen.speed[0]), road.limit_mps, *place


def _measures(road: RouteWorld, arrived: bool) -> tuple[float, ...]:
    """In the order of ``METRICS``."""
    steps = max(road.steps, 1)
    share = 1.0 if arrived else float(np.clip(road.along_m / road.way.length_m, 0.0, 1.0))
    driving = road.outside / steps, road.red_lights, road.driven_m / (steps * STEP_S), road.driven_m / 1000.0
    return float(arrived), share, float(road.collided), *driving, road.steps
