"""Rollout: an actor in a batch of worlds, one whole episode a seed, each step of it checked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.actor import Actor, ArrayTree, DrawingActor, EnteringActor
from haltere.sims.lanes import array_from_lanes, signature_shapes, to_lanes, world_to_lanes
from haltere.sims.reading import METRICS as READING
from haltere.sims.reading import checked, places_of
from haltere.sims.signals import Signals
from haltere.sims.task import TaskVectorEnv

Env = TaskVectorEnv[Any]
Progress = Callable[[int, int, int], None]
"""``progress(done_episodes, total_episodes, agent_steps)``, called after every control step of the batch."""


class VideoSink(Protocol):
    """Where the film of the first episode goes.

    Attributes:
        fps: frames a second of simulated time that the sink wants. The control rate is the most that it can get, and
            is set here where it is less, before the first frame: the film plays in simulated time.
    """

    fps: float

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one RGB image, (H, W, 3)."""


@dataclass(frozen=True)
class Episodes:
    """What E episodes came to, in the order of their seeds.

    Attributes:
        seeds: (E,).
        metrics: each declared metric, (E,), or (E, agents) for a swarm; and those of ``haltere.sims.reading``, where
            the task says what it asks about and the actor what it reads.
        lengths: control steps of each episode, (E,).
        agents: agents a world; None where there is one without an axis of its own.
        signals: what the actor shows of itself, (E,) in each of ``haltere.sims.signals.LOOKS``.
    """

    seeds: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    lengths: NDArray[np.int64]
    agents: int | None
    signals: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def agent_steps(self) -> int:
        """Control steps of all agents together."""
        return int(self.lengths.sum()) * (self.agents or 1)


def rollout(
    actor: Actor,
    make_env: Callable[[int], Env],
    seeds: Sequence[int],
    *,
    worlds: int = 64,
    progress: Progress | None = None,
    video: VideoSink | None = None,
) -> Episodes:
    """Play one episode a seed, ``worlds`` of them at a time.

    Every world is started with its own episode seed, so that equal seeds are equal worlds for every actor, whatever
    the batch. A network's sums may round otherwise in another batch, though, and an episode may amplify that. A world
    that ends before the others is reset by its environment and what it does then is ignored.

    Args:
        actor: commands W * agents lanes; it forgets at the start of a batch and where an episode ends.
        make_env: builds W worlds of the task.
        seeds: one episode seed each, at least one.
        worlds: the largest W.
        progress: told of every step.
        video: gets the film of the first seed's episode; ``film`` of the task draws it.

    Raises:
        RequestError: no seeds, ``worlds`` below 1, the task can't be filmed, or it has no expert and the actor is one.
        HaltereError: the actor's output has a wrong shape or isn't finite; an episode ended without its metrics, or
            without having asked what it should.
    """
    if not seeds or worlds < 1:
        raise RequestError(f"a rollout needs at least one seed and one world, got {len(seeds)} seeds, {worlds} worlds")
    batch = min(worlds, len(seeds))
    env = make_env(batch)
    try:
        if isinstance(actor, EnteringActor):
            actor.enter(env)
        run = _Run(actor, env, len(seeds), progress)
        for start in range(0, len(seeds), batch):
            run.play(seeds[start : start + batch], start, video if start == 0 else None)
    finally:
        env.close()
    return Episodes(np.asarray(seeds, np.int64), run.results(), run.lengths, env.agents, run.signals.results())


class _Run:
    """The loop's state: one environment, one actor, and the results that fill up."""

    def __init__(self, actor: Actor, env: Env, total: int, progress: Progress | None) -> None:
        self.actor, self.env, self.progress = actor, env, progress
        per_episode = (total,) if env.agents is None else (total, env.agents)
        self.metrics = {name: np.full(per_episode, np.nan) for name in env.spec_.metrics}
        self.places = places_of(actor)
        self.reading = {name: np.full(per_episode, np.nan) for name in READING}
        self.judged = False
        self.signals = Signals(total, env.agents)
        self.lengths = np.zeros(total, np.int64)
        self.action_size = signature_shapes(env)[1]

    def play(self, seeds: Sequence[int], first: int, video: VideoSink | None) -> None:
        """Episodes ``first`` to ``first + len(seeds) - 1``."""
        env = self.env
        # The last batch may be short: the worlds left over repeat its last seed, and aren't counted.
        padded = [*seeds, *[seeds[-1]] * (env.num_envs - len(seeds))]
        running = np.arange(env.num_envs) < len(seeds)
        obs, _ = env.reset(seed=padded)
        self.actor.reset()
        if isinstance(self.actor, DrawingActor):
            self.actor.start(padded)
        if video is not None:
            video.fps = min(video.fps, 1.0 / env.spec_.ctrl_dt_s)
        frames = _frames(video, env.spec_.ctrl_dt_s)
        step = 0
        while running.any():
            output = self._act(obs, seeds, step)
            self._judge(output, running, first, step)
            self.signals.add(output, np.flatnonzero(running), first)
            if video is not None and running[0] and next(frames):
                video.write(env.film(0, self._shown(output, step)))
            obs, _, terminated, truncated, infos = env.step(array_from_lanes(output["action"], env.agents))
            step += 1
            self.lengths[first + np.flatnonzero(running)] += 1
            ended = terminated | truncated
            if ended.any():
                self._collect(np.flatnonzero(ended & running), first, seeds, infos)
                running &= ~ended
                self.actor.reset(world_to_lanes(ended, env.agents))
            if self.progress is not None:
                done = first + len(seeds) - int(running.sum())
                self.progress(done, len(self.lengths), int(self.lengths.sum()) * (env.agents or 1))

    def _act(self, obs: ArrayTree, seeds: Sequence[int], step: int) -> dict[str, NDArray[Any]]:
        """The actor's output, with an action that is fit to be flown."""
        output = {name: np.asarray(value) for name, value in self.actor.act(to_lanes(obs, self.env.agents)).items()}
        agents = self.env.agents or 1
        wanted = (self.env.num_envs * agents, self.action_size)
        action = output.get("action")
        if action is None or action.shape != wanted:
            got = f"outputs {sorted(output)}" if action is None else f"shape {action.shape}"
            raise HaltereError(f"world 0, step {step}: the actor must give an 'action' of shape {wanted}, got {got}")
        finite = np.isfinite(action)
        if not finite.all():
            lane, component = np.argwhere(~finite)[0]
            world, agent = divmod(int(lane), agents)
            raise HaltereError(
                f"world {world} (seed {seeds[min(world, len(seeds) - 1)]}), step {step}: the actor's "
                f"action[{component}] for agent {agent} is {action[lane, component]}"
            )
        if self.places is not None:
            output["read"] = checked(output.get("read", np.empty(0)), wanted[0])
        return output | {"action": action.astype(np.float32, copy=False)}

    def _judge(self, output: dict[str, NDArray[Any]], running: NDArray[np.bool_], first: int, step: int) -> None:
        """Keep what is read in the worlds that ask about something now; all of them are at the same step."""
        asked = self.env.asked_about if self.places is not None else None
        if self.places is None or asked is None:
            return
        self.judged = True
        worlds = np.flatnonzero(running & (asked[:, 0] >= 0))
        if len(worlds):
            read = array_from_lanes(output["read"], self.env.agents)[worlds]
            for name, values in self.places.retrieval(read, asked[worlds], step).items():
                self.reading[name][first + worlds] = values

    def _shown(self, output: dict[str, NDArray[Any]], step: int) -> dict[str, NDArray[Any]]:
        """What a film of world 0 gets; what is read, by the steps of the episode rather than by places."""
        shown = {name: array_from_lanes(values, self.env.agents)[0] for name, values in output.items()}
        if self.places is not None:
            shown["read"] = self.places.by_step(shown["read"], step)
        return shown

    def results(self) -> dict[str, NDArray[np.float64]]:
        """Every metric of all episodes.

        Raises:
            HaltereError: an episode was never asked about anything.
        """
        if not self.judged:
            return self.metrics
        if np.isnan(self.reading[READING[0]]).any():
            raise HaltereError(f"task {self.env.spec_.id}: an episode ended without a step with 'asked_about'")
        return self.metrics | self.reading

    def _collect(self, ended: NDArray[np.int64], first: int, seeds: Sequence[int], infos: dict[str, Any]) -> None:
        """Keep the metrics of the worlds that have just ended their first episode."""
        delivered = infos.get("episode", {})
        for name, kept in self.metrics.items():
            if name not in delivered:
                raise HaltereError(f"task {self.env.spec_.id} ended an episode without its metric '{name}'")
            kept[first + ended] = delivered[name][ended]
            for world in ended:
                if not np.isfinite(kept[first + world]).all():
                    raise HaltereError(
                        f"task {self.env.spec_.id}, seed {seeds[world]}: metric '{name}' is {kept[first + world]}"
                    )


def _frames(video: VideoSink | None, ctrl_dt_s: float) -> Iterator[bool]:
    """Whether each control step is due a frame, without drift: frame k is the first step at or after k / fps."""
    shown, step = 0, 0
    while video is not None:
        due = step * ctrl_dt_s * video.fps >= shown - 1e-9
        shown += due
        yield due
        step += 1
