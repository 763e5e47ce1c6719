"""The loop around a policy that plans a chunk of commands at a time: what was sensed, when to plan anew, and noise.

The same for the network in torch and for an exported file, so that both fly alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Chunking
from haltere.deploy.runtime.actor import OnnxActor, check_finite, lanes_of

FloatArray = NDArray[np.float32]
CHUNK, GRADIENT, CALLS = "chunk", "gradient", "calls"
STREAM_SIZE = 6
"""Numbers that a stream of noise is saved as."""
_HALF = 2**64 - 1


class Caller(Protocol):
    """What calls the model; ``OnnxActor`` is one."""

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Begin with the initial state."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """One call."""
        ...


class ChunkActor:
    """An actor that plans chunks on B lanes at once; B is that of the observations.

    Each lane plans when its own chunk has been carried out, and draws from a stream of its own. Shows, beside what the
    model shows of its last plan, ``chunk`` (B, horizon, A): the commands from now on, and zeros behind them; and
    ``calls`` (B, 1) int64: how many of the model that plan took.
    """

    def __init__(
        self, model: Caller, chunking: Chunking, sensed: Mapping[str, tuple[int, ...]], action: int, *, seed: int = 0
    ) -> None:
        """Take a model.

        Args:
            model: called up to ``chunking.refinements`` times for a chunk, with as many lanes as plan one.
            chunking: the loop, as in the model's contract.
            sensed: shape of each observation of a step, of one lane.
            action: components of a command.
            seed: of the noise that chunks begin with.
        """
        self.model = model
        self.chunking = chunking
        self._sensed = dict(sensed)
        self._shape = chunking.draws, chunking.horizon, action
        self._seed = seed
        self._worlds: list[int] = [0]
        self._lanes: _Lanes | None = None

    def start(self, seeds: Sequence[int]) -> None:
        """Begin the episodes of these seeds, one a world: each agent of it has a stream of its own."""
        self._worlds = list(seeds)
        self._lanes = None

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget what was sensed and planned: every lane, or those where ``mask`` (B,) is true."""
        if self._lanes is not None:
            self._lanes.age[slice(None) if mask is None else mask] = 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One control step: the next command of each lane's chunk, planned now where it has none left.

        Args:
            obs: each observation (B, ...) float32, as of a single step.

        Raises:
            ObservationError: a name, shape or type isn't what it should be.
            NonFiniteError: an observation isn't finite, or a plan; what was sensed and planned is then as before.
        """
        count = lanes_of(obs, self._sensed)
        check_finite(obs)
        if self._lanes is None or len(self._lanes.age) != count:
            self._lanes = _Lanes(self._sensed, self.chunking, self._generators(count), self._shape)
        lanes, loop = self._lanes, self.chunking
        seen = lanes.seen_with(obs)
        due = np.flatnonzero(lanes.age % loop.executed == 0)
        if len(due):
            streams = lanes.streams(due)
            try:
                lanes.take(due, self._plan(lanes, seen, due))
            except BaseException:
                lanes.rewind(due, streams)
                raise
        lanes.seen = seen
        steps = (lanes.age % loop.executed)[:, None] + np.arange(loop.horizon)
        lanes.age += 1
        left = np.take_along_axis(lanes.shown[CHUNK], np.minimum(steps, loop.horizon - 1)[..., None], axis=1)
        left[steps >= loop.horizon] = 0.0
        shown = {name: array.copy() for name, array in lanes.shown.items()}
        return {**shown, "action": left[:, 0].copy(), CHUNK: left}

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """All that the next commands depend on, beside what is sensed then; empty before the first step.

        ``age`` (B,), ``streams`` (B, ``STREAM_SIZE``) and ``noise`` of each lane, what it has ``seen.`` of each
        observation, and what the model has ``shown.`` with its last plan, of which the chunk is carried out.
        """
        return {} if self._lanes is None else self._lanes.state_dict()

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where ``state_dict`` was taken, of this actor or of another one of the same model.

        Raises:
            RequestError: it is none of such an actor; this one is then as before.
        """
        if not state:
            self._lanes = None
            return
        count = len(np.atleast_1d(state.get("streams", [])))
        lanes = _Lanes(self._sensed, self.chunking, [np.random.default_rng(0) for _ in range(count)], self._shape)
        lanes.load_state_dict(state)
        self._lanes = lanes

    def _generators(self, count: int) -> list[np.random.Generator]:
        """A stream for each lane, by its episode and its agent."""
        agents = max(1, count // len(self._worlds))
        lanes = [(self._worlds[lane // agents % len(self._worlds)], lane % agents) for lane in range(count)]
        return [np.random.default_rng([self._seed, world, agent]) for world, agent in lanes]

    def _plan(
        self, lanes: "_Lanes", seen: Mapping[str, FloatArray], due: NDArray[np.int64]
    ) -> Mapping[str, NDArray[Any]]:
        """What the last refinement of each new chunk gives.

        A chunk that has settled is kept as it is, whatever the other lanes still need: what a lane does never depends
        on its neighbours. Calls are spared once all of them have.
        """
        loop = self.chunking
        call = {name: array[due] for name, array in seen.items()}
        made: dict[str, NDArray[Any]] = {}
        calls, going = np.zeros((len(due), 1), np.int64), np.ones(len(due), np.bool_)
        self.model.reset()
        for refinement in range(loop.refinements):
            if loop.draws > min(refinement, 1):
                call["noise"] = lanes.draw(due, refinement, going)
            now = self.model.act(call)
            made = dict(now) if going.all() else {name: _where(going, now[name], made[name]) for name in now}
            calls[going] += 1
            if loop.settled:
                going &= ~(now[GRADIENT][:, 0] < loop.settled)
            if not going.any():
                break
        return {**made, CALLS: calls}


def in_its_loop(model: OnnxActor, *, seed: int = 0) -> "OnnxActor | ChunkActor":
    """What flies an exported file: itself, or where it plans chunks the loop around it.

    Args:
        model: the file.
        seed: of the noise that chunks begin with.
    """
    chunking = model.contract.chunking
    if not chunking.observed:
        return model
    sensed = {tensor.name.removeprefix("obs."): tensor.shape for tensor in model.contract.sensed}
    return ChunkActor(model, chunking, sensed, len(model.contract.action_low), seed=seed)


def _where(lanes: NDArray[np.bool_], one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Some lanes of an array (D, ...), and the rest of another."""
    return np.where(lanes.reshape(-1, *[1] * (one.ndim - 1)), one, other)


def _as_numbers(state: Mapping[str, Any]) -> NDArray[np.uint64]:
    """The state of numpy's default generator, two numbers of 128 bits among it, as (``STREAM_SIZE``,) of 64."""
    wide = [state["state"]["state"], state["state"]["inc"]]
    halves = [part for number in wide for part in (number >> 64, number & _HALF)]
    return np.array([*halves, state["has_uint32"], state["uinteger"]], np.uint64)


def _from_numbers(numbers: NDArray[np.uint64]) -> dict[str, Any]:
    """Undo ``_as_numbers``."""
    upper, lower, increment_upper, increment_lower, spare, left = (int(number) for number in numbers)
    state = {"state": upper << 64 | lower, "inc": increment_upper << 64 | increment_lower}
    return {"bit_generator": "PCG64", "state": state, "has_uint32": spare, "uinteger": left}


def _summary(state: Mapping[str, NDArray[Any]]) -> str:
    """Names and shapes, for a message."""
    return ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in state.items())


class _Lanes:
    """What is kept of each lane.

    Attributes:
        age: (B,) steps since it was reset.
        seen: each observation of the last steps, (B, observed, ...).
        shown: what the model showed with the last plan, the chunk itself among it.
    """

    def __init__(
        self,
        sensed: Mapping[str, tuple[int, ...]],
        loop: Chunking,
        generators: Sequence[np.random.Generator],
        noise: tuple[int, int, int],
    ) -> None:
        count = len(generators)
        self.age = np.zeros(count, np.int64)
        self.seen = {name: np.zeros((count, loop.observed, *shape), np.float32) for name, shape in sensed.items()}
        self.shown: dict[str, NDArray[Any]] = {}
        self._generators = generators
        self._noise = np.zeros((count, *noise), np.float32)

    def seen_with(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """The last steps with a new one; the first one of an episode stands for those before it as well."""
        new = self.age == 0
        seen = {name: np.concatenate([old[:, 1:], obs[name][:, None]], axis=1) for name, old in self.seen.items()}
        for name, steps in seen.items():
            steps[new] = obs[name][new, None]
        return seen

    def draw(self, due: NDArray[np.int64], refinement: int, going: NDArray[np.bool_]) -> FloatArray:
        """Noise for a call, (D, draws, horizon, A): the first of it is of the chunk, the second of the call.

        Drawn anew for those lanes that are ``going`` (D,), so that a settled chunk uses up none of its lane's stream.
        """
        first = min(refinement, 1)
        for lane in due[going]:
            part = self._noise[lane, first:]
            part[...] = self._generators[lane].standard_normal(part.shape)
        return self._noise[due]

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """See ``ChunkActor``."""
        streams = np.array([_as_numbers(each.bit_generator.state) for each in self._generators], np.uint64)
        seen = {f"seen.{name}": array.copy() for name, array in self.seen.items()}
        shown = {f"shown.{name}": array.copy() for name, array in self.shown.items()}
        return {"age": self.age.copy(), "streams": streams, "noise": self._noise.copy(), **seen, **shown}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """See ``ChunkActor``."""
        wanted, count = self.state_dict(), len(self.age)
        shown = {name.removeprefix("shown."): array for name, array in state.items() if name.startswith("shown.")}
        told = {name: (array.shape, array.dtype) for name, array in state.items() if not name.startswith("shown.")}
        if told != {name: (array.shape, array.dtype) for name, array in wanted.items()}:
            raise RequestError(f"not the state of such an actor: has {_summary(state)}, and not {_summary(wanted)}")
        chunk = shown.get(CHUNK)
        fits = chunk is not None and chunk.shape == (count, *self._noise.shape[2:])
        if not fits or any(array.shape[:1] != (count,) for array in shown.values()):
            raise RequestError(f"not the state of such an actor: no plan of {count} lanes is in {_summary(state)}")
        self.age, self._noise = state["age"].copy(), state["noise"].copy()
        self.seen = {name: state[f"seen.{name}"].copy() for name in self.seen}
        self.shown = {name: array.copy() for name, array in shown.items()}
        for generator, numbers in zip(self._generators, state["streams"], strict=True):
            generator.bit_generator.state = _from_numbers(numbers)

    def streams(self, due: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        """Where the streams of some lanes have come to."""
        return [self._generators[lane].bit_generator.state for lane in due]

    def rewind(self, due: NDArray[np.int64], streams: Sequence[Mapping[str, Any]]) -> None:
        """Undo what was drawn since ``streams``."""
        for lane, state in zip(due, streams, strict=True):
            self._generators[lane].bit_generator.state = state

    def take(self, due: NDArray[np.int64], made: Mapping[str, NDArray[Any]]) -> None:
        """Keep what a plan shows."""
        for name, array in made.items():
            if name not in self.shown:
                self.shown[name] = np.zeros((len(self.age), *array.shape[1:]), array.dtype)
            self.shown[name][due] = array
