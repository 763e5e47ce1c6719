"""The Actor noun: numpy in, numpy out. Torch, ONNX, C, experts and safety filters are all Actors."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ArrayTree = Mapping[str, NDArray[Any]]


class Actor(Protocol):
    """Commands B lanes at once, one control step a call. A lane is one agent of one world."""

    def reset(self, mask: BoolArray | None = None) -> None:
        """Forget: every lane, or those where ``mask`` (B,) is true."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """One control step.

        Args:
            obs: each observation (B, ...), float32, names as in the task's observation space.

        Returns:
            ``"action"`` (B, A) and whatever else the actor shows, such as ``"attention"`` (B, 2).
        """
        ...


@runtime_checkable
class DrawingActor(Actor, Protocol):
    """An actor that draws at random, and is told which episodes it draws for."""

    def start(self, seeds: Sequence[int]) -> None:
        """Begin the episodes of these seeds, one a world; lanes come in the order of the worlds.

        What is drawn for an episode must depend on its seed, and not on the other worlds of the batch.
        """


@runtime_checkable
class EnteringActor(Actor, Protocol):
    """An actor that looks into the worlds that it acts in, and so has to be let into them."""

    def enter(self, env: Any) -> None:  # noqa: ANN401 -- a TaskVectorEnv, which knows actors
        """Act in these worlds from now on.

        Raises:
            RequestError: it can't.
        """


@runtime_checkable
class ReadingActor(Actor, Protocol):
    """An actor that may show what of its memory it reads: ``"read"`` (B, R), shares of its attention on R places.

    Step n of an episode, from 0, lies in place (n // ``read_steps``) modulo R, which can be read ``read_after`` steps
    after the last one that it takes up. ``read_steps`` is 0 where the actor shows no such thing.
    """

    @property
    def read_steps(self) -> int:
        """Steps of each place."""

    @property
    def read_after(self) -> int:
        """How much later a place can be read."""


class ExpertActor:
    """The expert of whatever task it enters: the ceiling that every trained policy is compared with."""

    def __init__(self) -> None:
        """Belong to no worlds yet."""
        self._expert: Actor | None = None

    def enter(self, env: Any) -> None:  # noqa: ANN401 -- a TaskVectorEnv, which knows actors
        """Become the expert of these worlds; see ``TaskVectorEnv.expert``."""
        self._expert = env.expert()

    def reset(self, mask: BoolArray | None = None) -> None:
        """As the expert does."""
        self._entered().reset(mask)

    def act(self, obs: ArrayTree) -> ArrayTree:
        """As the expert does."""
        return self._entered().act(obs)

    def _entered(self) -> Actor:
        if self._expert is None:
            raise RequestError("an expert acts in the worlds that it has entered; call enter(env) first")
        return self._expert


class RandomActor:
    """Uniform actions in [-1, 1]: the floor that every trained policy is compared with.

    Draws depend on the actor's seed, the episode's seed and the step. Unless ``start`` is called, all lanes share one
    stream that depends on the actor's seed alone.
    """

    def __init__(self, action_size: int, seed: int) -> None:
        """Draw from generators of its own, seeded."""
        self._action_size = action_size
        self._seed = seed
        self._generators = [np.random.default_rng(seed)]

    def start(self, seeds: Sequence[int]) -> None:
        """Begin the episodes of these seeds, one a world: each has a stream of its own, shared by its agents."""
        self._generators = [np.random.default_rng([self._seed, seed]) for seed in seeds]

    def reset(self, mask: BoolArray | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Uniform noise of shape (B, A)."""
        lanes = len(next(iter(obs.values()))) // len(self._generators)
        size = (lanes, self._action_size)
        action = np.concatenate([generator.uniform(-1.0, 1.0, size=size) for generator in self._generators])
        return {"action": action.astype(np.float32)}
