"""Wrong use of the native worlds gets a sentence: never a crash, and never worlds that are half changed."""

import multiprocessing
from collections.abc import Callable

import numpy as np
import pytest

from haltere.configs.errors import HaltereError, IntegrityError, RequestError
from haltere.sims.mujoco.swarm import native
from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.task import HOVER, SwarmForest

CONFIG = SwarmForestConfig(drones=2, density=0.1)
HOVERING = np.full((2, 2, 4), HOVER, np.float32)


def worlds(config: SwarmForestConfig = CONFIG, training: bool = False) -> SwarmForest:
    """Two worlds, reset."""
    env = SwarmForest(config, 2, training=training)
    env.reset(seed=[1, 2])
    return env


def level(height_m: float = 2.0) -> np.ndarray:
    """Two drones at rest, a metre apart."""
    pose = np.zeros((2, 13))
    pose[:, 0], pose[:, 2], pose[:, 3] = [0.0, 1.0], height_m, 1.0
    return pose


WRONG: list[tuple[str, Callable[[SwarmForest], object]]] = [
    ("from 0 to 1", lambda env: env.snapshot(2)),
    ("from 0 to 1", lambda env: env.snapshot(-1)),
    ("from 0 to 1", lambda env: env.place(99999, level(), np.ones((2, 4)))),
    ("shapes", lambda env: env.place(0, level()[:1], np.ones((2, 4)))),
    ("shapes", lambda env: env.place(0, level(), np.ones((2, 3)))),
    ("finite", lambda env: env.place(0, level() * np.nan, np.ones((2, 4)))),
]


@pytest.mark.parametrize(("words", "use"), WRONG)
def test_a_wrong_index_or_shape_is_refused(words: str, use: Callable[[SwarmForest], object]) -> None:
    """The library indexes plain memory: nothing that doesn't fit gets through to it."""
    with pytest.raises(RequestError, match=words):
        use(worlds())


USES: list[Callable[[SwarmForest], object]] = [
    lambda env: env.step(HOVERING),
    lambda env: env.snapshot(0),
    lambda env: env.place(0, level(), np.ones((2, 4))),
    lambda env: env.state_dict(),
    lambda env: env.bare_cpu_s(1),
]


@pytest.mark.parametrize("use", USES)
def test_worlds_are_reset_before_and_open_while_they_are_used(use: Callable[[SwarmForest], object]) -> None:
    """Neither worlds without an episode nor freed ones are touched."""
    with pytest.raises(RequestError, match="reset"):
        use(SwarmForest(CONFIG, 2))
    env = worlds()
    env.close()
    with pytest.raises(RequestError, match="closed"):
        use(env)


def tampered(env: SwarmForest, find: bytes, put: bytes) -> dict[str, np.ndarray]:
    """A state in which the first occurrence of some bytes is another; its length is right."""
    state = env.state_dict()
    data = state["worlds"].tobytes()
    assert data.count(find) >= 1
    return {**state, "worlds": np.frombuffer(data.replace(find, put, 1), np.uint8)}


def test_an_impossible_state_is_refused_and_changes_nothing() -> None:
    """A tick that would index outside, a NaN position, another forest's state: the worlds go on as if never asked."""
    env, twin = worlds(), worlds()
    for _ in range(7):
        env.step(HOVERING)
        twin.step(HOVERING)
    position = env.snapshot(0).position[0, :1].tobytes()
    seven = np.array([7, 1], np.int32).tobytes()
    scenario = np.array([7, 2], np.int32).tobytes()
    tick = seven if seven in env.state_dict()["worlds"].tobytes() else scenario
    longer = SwarmForestConfig(drones=2, density=0.1, episode_s=20.0)
    wrong = [
        tampered(env, tick, np.array([-2_000_000_000, 1], np.int32).tobytes()),
        tampered(env, position, np.array([np.nan]).tobytes()),
        worlds(longer).state_dict(),
    ]
    for state in wrong:
        with pytest.raises(IntegrityError):
            env.load_state_dict(state)
    for _ in range(5):
        assert env.step(HOVERING)[0]["self"].tobytes() == twin.step(HOVERING)[0]["self"].tobytes()


def test_physics_that_fails_is_told_and_costs_a_training_one_episode() -> None:
    """A speed that MuJoCo can't integrate: evaluation stops with a sentence, training begins that world anew."""
    pose = level()
    pose[0, 7] = 1e300
    env = worlds()
    env.place(0, pose, np.ones((2, 4)))
    with pytest.raises(HaltereError, match="could not integrate"):
        env.step(HOVERING)
    env = worlds(training=True)
    env.place(0, pose, np.ones((2, 4)))
    obs, _, _, truncated, infos = env.step(HOVERING)
    assert truncated[0] and np.isnan(infos["episode"]["success"][0]).all()
    assert all(np.isfinite(array).all() for array in obs.values())
    assert env.snapshot(0).time_s == 0.0


def _use_in_a_fork(env: SwarmForest, answers: "multiprocessing.Queue[str]") -> None:
    try:
        env.step(HOVERING)
        answers.put("stepped")
    except RequestError as error:
        answers.put(str(error))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_is_told_to_make_its_own() -> None:
    """Threads aren't forked, so a call there would wait for ever."""
    env = SwarmForest(CONFIG, 2, threads=2)
    env.reset(seed=[1, 2])
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_use_in_a_fork, args=(env, answers))
    child.start()
    assert "another process" in answers.get(timeout=20)
    child.join(timeout=20)
    assert child.exitcode == 0


def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the settings is compared by name, so that a swapped pair can't pass for the same size."""
    monkeypatch.setattr(native, "_DOUBLES", [native._DOUBLES[1], native._DOUBLES[0], *native._DOUBLES[2:]])
    native.library.cache_clear()
    with pytest.raises(HaltereError, match="another version"):
        native.library()
    native.library.cache_clear()
