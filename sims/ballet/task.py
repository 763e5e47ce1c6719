"""Dancers dance, one after the other; then the agent is asked for one of them: ``haltere/Ballet-v0``.

Source: Lampinen et al. 2021, "Towards mental time travel: a hierarchical memory for reinforcement learning agents",
arXiv:2105.14039, and the authors' public environment (google-deepmind/deepmind-research,
hierarchical_transformer_memory/pycolab_ballet).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.constants import DIRECTIONS, MIX_DANCERS, MIX_DELAY, MOVES, WORDS
from haltere.sims.ballet.draws import Layout
from haltere.sims.ballet.frames import frame_ids
from haltere.sims.ballet.picture import FloatArray, Painter
from haltere.sims.ballet.worlds import STATE_SIZE, Worlds
from haltere.sims.chance import IntArray
from haltere.sims.choosing import ChoosingTask
from haltere.sims.single import Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "chose", "steps", "choice_steps", "dancers", "delay")
UNITS = {
    "image": "RGB in [0, 1], channel, row and column, 11 x 11 cells from above with the agent in the middle one",
    "instruction": f"1 at the word in force, 0 elsewhere: {', '.join(WORDS)}",
    "action": f"a score for each direction, the largest is gone: {', '.join(DIRECTIONS)}; ignored while dancers dance",
}


@task(
    "haltere/Ballet-v0",
    config=BalletConfig,
    metrics=METRICS,
    rates=METRICS[:2],
    ctrl_dt_s=0.1,  # the paper has no clock; a film of this pace can be followed
    sim="numpy",
    units=UNITS,
)
class Ballet(ChoosingTask[BalletConfig]):
    """W rooms with dancers and one agent each.

    An episode: the agent is told "watch" and can't move. Each dancer dances its 16 moves, and after each dance come
    ``delay`` steps of rest. Then the instruction becomes the name of one of the dances; the next action is the first
    that counts. The first dancer that the agent touches ends the episode: reward 1 if it danced that dance, else 0.

    Metrics: success; chose, whether it touched any dancer; steps of the episode, and of those the steps that it had
    to choose; and the level, dancers and delay. An action is a score for each direction, north first, then clockwise.
    """

    choices = len(DIRECTIONS)
    levels = ("dancers", "delay")

    def __init__(self, config: BalletConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and one thread does the work.

        Raises:
            RequestError: see the base class.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        shorter = config.training_choice_steps if training else None
        self._worlds = Worlds(num_envs, shorter or config.choice_steps)
        self._painter = Painter(config.pixels)
        self._words = np.eye(len(WORDS), dtype=np.float32)
        self._wanted: IntArray | None = None
        self._ready()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Image (3, pixels, pixels) and instruction (14,); see ``UNITS``."""
        image = spaces.Box(0.0, 1.0, (3, self.config.pixels, self.config.pixels), np.float32)
        return spaces.Dict({"image": image, "instruction": spaces.Box(0.0, 1.0, (len(WORDS),), np.float32)})

    def set_training_steps(self, steps: int) -> None:
        """Choose the stage of the curriculum; episodes that have begun go on at their own level."""
        stage = self._stage(steps)
        dancers, delay = self.config.dancers, self.config.delay
        if stage is not None:
            levels = stage.dancers, stage.delay
        else:
            levels = (MIX_DANCERS if dancers == "mix" else (dancers,)), (MIX_DELAY if delay == "mix" else (delay,))
        self._dancers, self._delay = np.array(levels[0], np.int64), np.array(levels[1], np.int64)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Clocks, places and seeds of the worlds; the rest of them follows."""
        return {"worlds": self._worlds.state(), "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly; see the base class. Call ``set_training_steps`` after it."""
        if set(state) != {"worlds", "seeds"} or not self._worlds.load_state(state["worlds"]):
            shape = (self.num_envs, STATE_SIZE)
            raise IntegrityError(f"the saved state isn't that of {self.num_envs} worlds of {self.spec_.id}, {shape}")
        self._set_generator_state(state["seeds"])
        self._running = True
        return self._observe()

    @property
    def frame_id(self) -> IntArray:
        """Number of the picture that each world shows now, (W,), from 0 to ``frames.FRAMES`` - 1.

        Within an episode two images are equal exactly where their numbers are; see ``frames.distinct_frames``.
        """
        return frame_ids(self._worlds)

    @property
    def acts(self) -> NDArray[np.bool_]:
        """Whether the question has been put in each world, (W,): actions before it are ignored."""
        asked: NDArray[np.bool_] = self._worlds.clock >= self._worlds.show
        return asked

    @property
    def choice_opens(self) -> IntArray:
        """The step of each world's episode whose action is the first that counts, (W,); an episode's first is 1."""
        return self._worlds.show + 1

    @property
    def target_dance(self) -> IntArray:
        """When each world's target dances, (W, 2): the clock at its first and its last move; a reset's is 0.

        For those who judge a memory. It isn't for the agent.
        """
        layout = self._worlds.layout
        begin = layout.target * (MOVES - 1 + layout.delay)
        return np.stack([begin, begin + MOVES - 1], axis=1)

    @property
    def asked_about(self) -> IntArray:
        """See the base class: the target's dance, where the question has just been put."""
        asked = self._worlds.clock == self._worlds.show
        return np.where(asked[:, None], self.target_dance, -1)

    @property
    def layout(self) -> Layout:
        """Who dances what and where in each world, (W, ...). For those who judge a memory; it isn't for the agent."""
        return Layout(*(array.copy() for array in vars(self._worlds.layout).values()))

    @property
    def answer(self) -> IntArray:
        """The direction that leads from the start to the right dancer, (W,). For experts; it isn't for the agent."""
        layout = self._worlds.layout
        return layout.slot[np.arange(self.num_envs), layout.target]

    def bare_step(self, choice: IntArray) -> NDArray[np.bool_]:
        """The worlds' step without picture, checks and metrics, for a bench; ``choice`` is (W,).

        Returns:
            (W,) which worlds ended and were begun anew.
        """
        self._worlds.step(choice)
        over: NDArray[np.bool_] = self._worlds.chose | (self._worlds.clock >= self._worlds.limit)
        if over.any():
            self._begin(np.flatnonzero(over), None)
        return over

    @classmethod
    def bench_sim(
        cls, config: BalletConfig, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str | float]:
        """What ``haltere bench ballet --sim`` prints; see ``bench.measure``."""
        from haltere.sims.ballet.bench import measure  # that module imports this one

        return {"task": cls.spec_.id, **measure(config, progress=progress)}

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.BalletCamera`` for what is drawn of ``aux``."""
        from haltere.sims.ballet.film import BalletCamera  # only those who look need Pillow

        if not hasattr(self, "_camera"):
            self._camera = BalletCamera()
        return self._camera.frame(self._worlds.one(world), aux or {})

    def look(self, worlds: NDArray[np.bool_] | None) -> None:
        """See the base class; the image of who doesn't look is whatever lay in memory."""
        self._wanted = None if worlds is None else np.flatnonzero(worlds)

    def _observe(self) -> ObsTree:
        if self._wanted is None:
            return {"image": self._painter.paint(self._worlds), "instruction": self._instruction()}
        pixels = self.config.pixels
        image = np.empty((self.num_envs, 3, pixels, pixels), np.float32)
        image[self._wanted] = self._painter.paint(self._worlds, self._wanted)
        return {"image": image, "instruction": self._instruction()}

    def _instruction(self) -> FloatArray:
        words: FloatArray = self._words[self._worlds.word]
        return words

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds, self._dancers, self._delay)

    def _begin_anew(self, obs: ObsTree, ended: IntArray) -> tuple[ObsTree, ObsTree]:
        """See the base class; only what ended is painted again."""
        # Zeros, which cost nothing before they are touched, where a copy of every image would cost as much as painting.
        final = {name: np.zeros(array.shape, np.float32) for name, array in obs.items()}
        for name, array in obs.items():
            final[name][ended] = array[ended]
        self._begin(ended, None)
        obs["image"][ended] = self._painter.paint(self._worlds, ended)
        return final, {**obs, "instruction": self._instruction()}

    def _move(self, choice: IntArray) -> Outcome:
        worlds = self._worlds
        worlds.step(choice)
        return worlds.right.astype(np.float32), worlds.chose, ~worlds.chose & (worlds.clock >= worlds.limit)

    def _measures(self) -> NDArray[Any]:
        worlds = self._worlds
        had = np.maximum(worlds.clock - worlds.show, 0)
        layout = worlds.layout
        return np.stack([worlds.right, worlds.chose, worlds.clock, had, layout.dancers, layout.delay])
