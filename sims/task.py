"""The task noun: a batch of worlds behind the Gymnasium vector API, with its metrics declared.

``@task(...)`` names a ``TaskVectorEnv`` subclass. Everything else (the single-world Gymnasium view, the PettingZoo
view, the trainer's lanes, the evaluator) is made from that one class, so a new task is one file and one YAML.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError, RequestError, unknown_name
from haltere.sims.actor import Actor

FIRST_HELD_OUT_SEED = 900_000
"""Training draws every episode seed below this; evaluation draws from here up."""
FIRST_ROLLOUT_SEED = FIRST_HELD_OUT_SEED - 100_000
"""Of the episodes in which a policy is tried while it learns from demonstrations, which use the seeds below."""
_LAST_SEED = np.iinfo(np.int64).max

ConfigT = TypeVar("ConfigT")
ObsTree = dict[str, NDArray[np.float32]]
Infos = dict[str, Any]


@dataclass(frozen=True)
class TaskSpec:
    """What is known of a task before a world is built.

    Attributes:
        id: Gymnasium id, such as ``haltere/SwarmForest-v0``.
        metrics: name of each episode metric, in order; ``success`` is always first and lies in [0, 1].
        rates: those of the metrics that are rates in [0, 1] and get a Wilson interval; the others are means.
        ctrl_dt_s: control period [s].
        sim: ``mujoco``, ``pybullet``, ``pymunk`` or ``carla``; ``numpy`` where the world is our own arithmetic.
        units: frame and unit of each observation and of the action, in words; travels in an exported contract.
        deterministic: whether equal seeds give bit-equal trajectories.
        safe_action: what a control loop commands every actuator where nothing better is known, in [-1, 1]; None where
            no one action is safe. Travels in an exported contract.
        frequencies: what an evaluation says besides, name -> two metrics: events, and the exposure to them.
    """

    id: str
    metrics: tuple[str, ...]
    rates: tuple[str, ...]
    ctrl_dt_s: float
    sim: str
    units: dict[str, str]
    deterministic: bool = True
    safe_action: float | None = None
    frequencies: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class TaskVectorEnv(VectorEnv[ObsTree, NDArray[np.float32], NDArray[Any]], ABC, Generic[ConfigT]):
    """W worlds of one task, each with ``agents`` agents that share one policy.

    Arrays are (W, ...) where ``agents`` is None (one agent, no agent axis) and (W, agents, ...) otherwise; rewards
    follow the same rule, ``terminations`` and ``truncations`` are (W,): a world ends for all of its agents at once.
    A world that ends is reset in the same call (``AutoresetMode.SAME_STEP``). ``infos`` of that step hold

        "final_obs"   the observation tree before the reset, valid where a world ended
        "episode"     metric name -> (W,) or (W, agents) float32, valid where a world ended

    and are empty otherwise. All arrays that a step returns are the caller's: they aren't overwritten by the next step.

    Where an agent picks one of n things rather than commanding motors, ``choices`` is n: its action is then a score for
    each, (n,), and the world does what scores highest, the first of equals. Scores are compared and never clipped; the
    space's bounds of -1 and 1 say where a policy's lie. The views of a single world take the number itself instead.

    What a trainer of memories may make use of, where a subclass says more than these defaults: ``acts``, ``frame_id``
    and ``levels``; and who judges them: ``asked_about``.

    A world's trajectory depends on the seed of its episode and on its actions alone: not on W, on its place among the
    worlds, or on ``threads``. ``__init__`` of a subclass ends with ``self._set_spaces()``.
    """

    spec_: ClassVar[TaskSpec]
    config_type: ClassVar[type]
    metadata: dict[str, Any] = {  # noqa: RUF012 -- Gymnasium declares it so
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": [],
    }

    config: ConfigT
    agents: int | None
    choices: int | None = None
    levels: ClassVar[tuple[str, ...]] = ()
    """Metrics that say which of its levels an episode was of; success is then logged for each level as well."""

    def __init__(self, config: ConfigT, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; ``reset`` seeds them.

        Args:
            config: an instance of ``config_type``.
            num_envs: W, the number of worlds.
            training: draws later episode seeds below ``FIRST_HELD_OUT_SEED``, staggers the first episodes and turns
                on whatever curriculum the task has.
            threads: native threads over worlds; never changes a result.
        """
        self.config = config
        self.num_envs = num_envs
        self.training = training
        self.threads = threads

    @abstractmethod
    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Start a new episode in every world.

        Args:
            seed: one episode seed a world, or one number S that stands for S, S + 1, ..., S + W - 1 (Gymnasium's rule),
                or None to draw them from a generator that the last seeds given restarted.
            options: Gymnasium's; no task of ours has any.

        Returns:
            The first observation and empty infos.

        Raises:
            RequestError: the seeds aren't W numbers of at least 0.
        """

    @abstractmethod
    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """Advance every world by one control period; the arrays are the class's."""

    @abstractmethod
    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that the future of these worlds depends on, random streams and curriculum included."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly from ``state_dict``'s point; returns the observation there.

        Raises:
            IntegrityError: the state is of another shape (other configuration or number of worlds).
        """

    def set_training_steps(self, steps: int) -> None:
        """Tell the curriculum how many agent steps training has taken. Tasks without one ignore it."""
        del steps  # no curriculum here

    @property
    def acts(self) -> NDArray[np.bool_]:
        """Whether the next action of each world has any effect, (W,); always, unless a subclass knows better.

        Where it has none, a trainer needn't ask the policy for one, nor blame it for what follows.
        """
        return np.ones(self.num_envs, np.bool_)

    def look(self, worlds: NDArray[np.bool_] | None) -> None:
        """Say whose observations are wanted from now on, (W,), or everybody's.

        A task that draws pictures may leave the others' undefined; a reset asks for everybody's again.
        """
        del worlds  # no pictures here

    @property
    def frame_id(self) -> NDArray[np.int64] | None:
        """Number of what each world's images show now, (W,); None, unless a subclass knows: each may then be new.

        Equal numbers mean equal images within an episode, and between worlds whose episodes have the same seed. Other
        observations aren't meant.
        """
        return None

    @property
    def asked_about(self) -> NDArray[np.int64] | None:
        """Which part of its episode each world asks about now, (W, 2): its first and its last step; a reset's is 0.

        -1 where nothing is asked, which is at all steps of an episode but one. For those who judge a memory; it isn't
        for the agent. None, unless a subclass knows: then nothing is said of what is read.
        """
        return None

    @property
    def instructions(self) -> Sequence[str]:
        """What each world asks for now, a sentence a world; the task's id, unless a subclass has words for it.

        Demonstrations keep them frame by frame, so that a policy can be told what to do.
        """
        return [self.spec_.id] * self.num_envs

    @classmethod
    def level_name(cls, metric: str, value: float) -> str:
        """What an evaluation calls a level; a subclass may have words for it.

        Args:
            metric: one of ``levels``.
            value: what it was.
        """
        return f"{metric}-{value:g}"

    @classmethod
    def most_worlds(cls, config: ConfigT) -> int | None:
        """How many worlds can be had at a time; None, unless a subclass knows: as many as there is memory for."""
        del config  # no bound here
        return None

    def expert(self) -> Actor:
        """An actor that may look into these worlds, and acts in no others. Optional, for ``--actor expert``.

        Raises:
            RequestError: this task has none.
        """
        raise RequestError(f"task {self.spec_.id} has no expert: it has no expert() method")

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world as it is now. Optional: a task that can't be filmed doesn't write it.

        Args:
            world: which of the W worlds.
            aux: what the actor gave for this world: ``"action"`` (agents, A) and whatever it shows beside it, such as
                ``"attention"`` (agents, 2); without the agent axis where ``agents`` is None. None: the world alone.

        Returns:
            RGB image, (H, W, 3) uint8, of the same size for every call.

        Raises:
            RequestError: this task can't be filmed.
        """
        del world, aux
        raise RequestError(f"task {self.spec_.id} can't be filmed: it has no film() method")

    @property
    @abstractmethod
    def agent_observation_space(self) -> gymnasium.spaces.Dict:
        """What one agent senses, without world or agent axis."""

    @property
    @abstractmethod
    def agent_action_space(self) -> gymnasium.spaces.Box:
        """What one agent commands, without world or agent axis."""

    def _set_spaces(self) -> None:
        """Derive Gymnasium's four spaces from the agent's two, ``agents`` and ``num_envs``.

        A single world's space has the agent axis in front where ``agents`` isn't None: (agents, ...); the batched one
        has the world axis before that: (W, agents, ...).
        """
        observation: gymnasium.Space[Any] = self.agent_observation_space
        action: gymnasium.Space[Any] = self.agent_action_space
        if self.agents is not None:
            observation, action = batch_space(observation, self.agents), batch_space(action, self.agents)
        self.single_observation_space, self.single_action_space = observation, action
        self.observation_space = batch_space(observation, self.num_envs)
        self.action_space = batch_space(action, self.num_envs)

    def _episode_seeds(self, seed: int | Sequence[int] | None) -> NDArray[np.int64]:
        """One episode seed a world, (W,), for what ``reset(seed=...)`` was given; its errors are ``reset``'s.

        Given seeds also restart the generator that later calls without a seed draw from. Drawn seeds stay below
        ``FIRST_HELD_OUT_SEED``.
        """
        if seed is None:
            return self.np_random.integers(FIRST_HELD_OUT_SEED, size=self.num_envs)
        given = [int(seed) + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        seeds, wanted = np.asarray(given), (self.num_envs,)
        if seeds.shape != wanted or seeds.dtype.kind not in "iu" or seeds.min() < 0 or seeds.max() > _LAST_SEED:
            raise RequestError(f"reset(seed=...) takes {self.num_envs} whole numbers from 0 to 2^63 - 1, got {seed!r}")
        self._np_random, self._np_random_seed = np.random.default_rng(seeds), int(seeds[0])
        return seeds.astype(np.int64)

    def _generator_state(self) -> NDArray[np.uint64]:
        """State of the generator behind ``reset()`` without a seed, (6,), for a subclass's ``state_dict``."""
        state: Any = self.np_random.bit_generator.state
        words = [half for name in ("state", "inc") for half in divmod(state["state"][name], 1 << 64)]
        return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)

    def _set_generator_state(self, words: NDArray[np.uint64]) -> None:
        """Undo ``_generator_state``.

        Raises:
            IntegrityError: it isn't such a state.
        """
        if words.shape != (6,) or words.dtype != np.uint64:
            raise IntegrityError(f"a generator's state is 6 words of 64 bits, got {words.dtype} {words.shape}")
        bits = [int(word) for word in words]
        generator = np.random.default_rng(0)
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": bits[0] << 64 | bits[1], "inc": bits[2] << 64 | bits[3]},
            "has_uint32": bits[4],
            "uinteger": bits[5],
        }
        self._np_random = generator


_REGISTERED: dict[str, type[TaskVectorEnv[Any]]] = {}
TaskT = TypeVar("TaskT", bound=type[TaskVectorEnv[Any]])


def task(
    task_id: str,
    *,
    config: type,
    metrics: Sequence[str],
    rates: Sequence[str],
    ctrl_dt_s: float,
    sim: str,
    units: dict[str, str],
    deterministic: bool = True,
    safe_action: float | None = None,
    frequencies: Mapping[str, tuple[str, str]] | None = None,
) -> Callable[[TaskT], TaskT]:
    """Register a task class under its Gymnasium id. The arguments are ``TaskSpec``'s.

    Raises:
        RequestError: ``success`` isn't the first metric and a rate, a rate isn't a metric, or the safe action isn't
            within [-1, 1].
    """
    if tuple(metrics[:1]) != ("success",) or not {"success"} <= set(rates) <= set(metrics):
        raise RequestError(
            f"task {task_id}: metrics must begin with 'success' and hold every rate, and 'success' is a rate; "
            f"got metrics {tuple(metrics)}, rates {tuple(rates)}"
        )

    if safe_action is not None and not -1.0 <= safe_action <= 1.0:
        raise RequestError(f"task {task_id}: safe_action must be from -1 to 1, got {safe_action}")
    frequencies = dict(frequencies or {})
    if not {name for pair in frequencies.values() for name in pair} <= set(metrics) or set(frequencies) & set(metrics):
        raise RequestError(f"task {task_id}: a frequency is of two metrics and is none itself, got {frequencies}")
    facts = (ctrl_dt_s, sim, dict(units), deterministic, safe_action, frequencies)

    def register(cls: TaskT) -> TaskT:
        cls.spec_ = TaskSpec(task_id, tuple(metrics), tuple(rates), *facts)
        cls.config_type = config
        _REGISTERED[task_id] = cls
        return cls

    return register


def registered_ids() -> list[str]:
    """Ids of every task whose module has been imported, sorted."""
    return sorted(_REGISTERED)


def registered_task(task_id: str) -> type[TaskVectorEnv[Any]]:
    """The class registered under an id whose module has been imported.

    Raises:
        RequestError: no imported module registered it.
    """
    if task_id not in _REGISTERED:
        raise unknown_name("task id", task_id, _REGISTERED)
    return _REGISTERED[task_id]
