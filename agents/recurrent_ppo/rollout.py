"""Playing one whole episode in every world, with a policy that remembers."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haltere.agents.episodes import EpisodeWindow, per_lane
from haltere.agents.recurrent_ppo.buffer import FloatArray, Played
from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.agents.recurrent_ppo.network import SequenceActorCritic, draw, gumbel
from haltere.agents.recurrent_ppo.recall import Recall, Recalled
from haltere.agents.recurrent_ppo.sights import Embedded, IntArray, Sights
from haltere.sims.lanes import array_to_lanes, choice_to_scores, from_lanes, to_lanes, world_to_lanes
from haltere.sims.task import ObsTree, TaskVectorEnv

_COLUMNS: dict[str, type[np.generic]] = {
    "number": np.int64,
    "acting": np.bool_,
    "choice": np.int64,
    "log_prob": np.float32,
    "value": np.float32,
    "reward": np.float32,
}


class Player:
    """Worlds, the network that acts in them, and the chance of its choices."""

    def __init__(
        self,
        env: TaskVectorEnv[Any],
        network: SequenceActorCritic,
        sights: Sights,
        alike: IntArray,
        generator: torch.Generator,
        config: RecurrentPPOConfig,
        episodes: EpisodeWindow,
    ) -> None:
        """Take everything; ``play`` begins.

        Args:
            env: worlds in training mode.
            network: acts.
            sights: keeps what is sensed.
            alike: (lanes,) equal for lanes whose episodes have the same seed.
            generator: draws the choices.
            config: the trainer's.
            episodes: told of every episode.
        """
        self._env = env
        self._network = network
        self._sights = sights
        _, first, of = np.unique(alike, return_index=True, return_inverse=True)
        self._first = first[of]
        self._generator = generator
        self._config = config
        self._noise: Tensor | None = None
        self._episodes = episodes
        self._choices = env.choices or 0
        # Lanes of one seed are next to each other: the last of them are bound to their first choice.
        free = len(alike) if config.free is None else config.free * (env.agents or 1)
        place = np.arange(len(alike)) - self._first
        self._bound = place >= free
        self._told = self._bound & (config.bound == "each")
        self._only = torch.from_numpy(np.where(self._told, (place - free) // (env.agents or 1), -1))

    @torch.no_grad()
    def play(self, obs: ObsTree) -> Played:
        """One episode in every world, from the observations of their reset."""
        env = self._env
        self._sights.forget()
        embedded = Embedded(self._sights, self._network.policy.encode)
        recall = Recall(self._network.policy, embedded)
        running = np.ones(env.num_envs * (env.agents or 1), np.bool_)
        acted = np.zeros_like(running)
        history = _History(len(running))
        held, bound_at = np.zeros((2, len(running)), np.int64)
        once = self._config.noise == "episode"
        self._noise = gumbel(len(running), self._choices, self._generator) if once else None
        returns = np.zeros(len(running))
        metrics: dict[str, NDArray[Any]] = {}
        while running.any():
            watching = running & ~(acted & self._bound)
            acting = world_to_lanes(env.acts, env.agents) & watching
            frame = None if env.frame_id is None else world_to_lanes(env.frame_id, env.agents)
            looks = self._looks(acted)
            seen = self._sights.see(to_lanes(obs, env.agents), frame, np.unique(looks[watching]))
            row = history.begin(seen[looks], acting)
            acted |= acting
            if acting.any():
                self._choose(recall.now(history.numbers(), acting, watching), acting, row)
            np.copyto(held, row["choice"], where=acting)
            row["choice"][:] = held
            np.copyto(bound_at, history.steps, where=acting & self._bound)
            env.look(self._lookers(running, acted))
            actions = choice_to_scores(held, self._choices)
            obs, reward, terminated, truncated, infos = env.step(_worlds(actions, env.agents))
            row["reward"][:] = np.where(running, array_to_lanes(reward, env.agents), 0.0)
            returns += row["reward"]
            ended = world_to_lanes(terminated | truncated, env.agents) & running
            if ended.any():
                history.lengths[ended] = history.steps
                _collect(metrics, infos["episode"], ended)
                # What the agent did last is worth what it gave up with the time.
                cut = np.flatnonzero(world_to_lanes(truncated & ~terminated, env.agents) & acting)
                if len(cut) and self._config.baseline == "critic":
                    final = to_lanes(infos["final_obs"], env.agents)
                    row["reward"][cut] += self._config.gamma * self._worth(recall, final, cut)
                running &= ~ended
        own = ~self._told  # who was told what to choose says nothing about how good the policy is
        ended_with = {name: values[own] for name, values in metrics.items()}
        self._episodes.whole(returns[own], history.lengths[own], ended_with)
        # All that follows a choice that is held on to is that choice's: its episode is over for who learns from it.
        history.lengths = np.where(bound_at > 0, bound_at, history.lengths)
        return history.played()

    def _looks(self, acted: NDArray[np.bool_]) -> IntArray:
        """Who looks for each lane: until they act, worlds of one seed are the same, and the first looks for all."""
        return np.where(acted, np.arange(len(acted)), self._first)

    def _lookers(self, running: NDArray[np.bool_], acted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The worlds, (W,), one of whose lanes has to see what comes next."""
        lookers = np.zeros(len(running), np.bool_)
        lookers[self._looks(acted)[running & ~(acted & self._bound)]] = True
        return np.asarray(lookers.reshape(self._env.num_envs, -1).any(axis=1))

    def _choose(self, recalled: Recalled, acting: NDArray[np.bool_], row: dict[str, NDArray[Any]]) -> None:
        """Draw the choices of those who act."""
        act = acting[recalled.lanes]
        at, lanes = torch.from_numpy(np.flatnonzero(act)), recalled.lanes[act]
        noise = gumbel(len(lanes), self._choices, self._generator) if self._noise is None else self._noise[lanes]
        only = self._only[lanes][:, None]
        others = (only >= 0) & (torch.arange(self._choices) != only)
        choice, log_prob = draw(recalled.scores[at], noise.masked_fill(others, -math.inf))
        row["choice"][lanes] = choice.numpy()
        row["log_prob"][lanes] = log_prob.numpy()
        row["value"][lanes] = self._network.value(recalled.features[at]).numpy()

    def _worth(self, recall: Recall, final: dict[str, NDArray[Any]], lanes: IntArray) -> FloatArray:
        """Values (k,) of the last observations of lanes."""
        obs = {name: torch.from_numpy(array[lanes]) for name, array in final.items()}
        worth: FloatArray = self._network.value(recall.after(self._network.policy.encode(obs), lanes)).numpy()
        return worth


class _History:
    """What has happened so far, a row a step; room is doubled when it is full."""

    def __init__(self, lanes: int) -> None:
        self.lengths = np.zeros(lanes, np.int64)
        self.steps = 0
        self._columns: dict[str, NDArray[Any]] = {n: np.zeros((64, lanes), t) for n, t in _COLUMNS.items()}

    def begin(self, number: IntArray, acting: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """The next step's row, (lanes,) each, to be written into."""
        if self.steps == len(self._columns["number"]):
            self._columns = {n: np.concatenate([column, np.zeros_like(column)]) for n, column in self._columns.items()}
        row = {name: column[self.steps] for name, column in self._columns.items()}
        row["number"][:], row["acting"][:] = number, acting
        self.steps += 1
        return row

    def numbers(self) -> IntArray:
        """(steps, lanes) what was sensed so far."""
        return self._columns["number"][: self.steps]

    def played(self) -> Played:
        """All of it, when every lane has ended."""
        number, acting, choice, log_prob, value, reward = (column[: self.steps] for column in self._columns.values())
        return Played(number, acting, choice, log_prob, value, reward, self.lengths)


def _worlds(actions: FloatArray, agents: int | None) -> FloatArray:
    return from_lanes({"action": actions}, agents)["action"]


def _collect(metrics: dict[str, NDArray[Any]], episode: dict[str, NDArray[Any]], ended: NDArray[np.bool_]) -> None:
    """Keep the metrics of the lanes that have just ended."""
    for name, values in episode.items():
        np.copyto(metrics.setdefault(name, np.zeros(len(ended))), per_lane(values, len(ended)), where=ended)


