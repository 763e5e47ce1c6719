"""A film of memory-rooms shows what is open, what is asked, the action and what is read, at one size."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.lanes import choice_to_scores
from haltere.sims.mujoco.rooms.bench import measure
from haltere.sims.mujoco.rooms.config import RoomsConfig
from haltere.sims.mujoco.rooms.task import MemoryRooms
from haltere.sims.things import COLOURS

SIZE = (540, 960, 3)
VIEW = (slice(20, 424), slice(20, 600))
WORDS_AT = (slice(70, 212), slice(620, 940))
BARS_AT = (slice(452, 495), slice(20, 940))
READ, RIGHT = (255, 196, 61), (74, 222, 128)
CONFIG = RoomsConfig(delay=20)


@pytest.fixture
def env() -> MemoryRooms:
    """Two rooms of eight boxes."""
    built = MemoryRooms(CONFIG, 2)
    built.reset(seed=[21, 22])
    return built


def run(env: MemoryRooms, steps: int) -> None:
    """Everybody goes ahead."""
    for _ in range(steps):
        env.step(choice_to_scores(np.zeros(2, np.int64), 8))


def has(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    """Whether any pixel has that very colour."""
    return bool((picture == colour).all(axis=-1).any())


def test_an_open_box_shows_its_object(env: MemoryRooms) -> None:
    """In its colour, while it is open; and the open screen too. A closed room shows neither."""
    layout, colours = env.layout, list(COLOURS.values())
    bright = [c for c in range(8) if max(colours[layout.objects[1, layout.order[1, c]] % 19]) > 150]
    for turn in range(8):
        shown = colours[int(layout.objects[1, layout.order[1, turn]]) % 19]
        frame = env.film(1)
        assert frame.shape == SIZE
        assert frame.dtype == np.uint8
        assert has(frame[VIEW], shown), turn
        run(env, 5)
        assert turn not in bright or not has(env.film(1)[VIEW], shown)
        run(env, 1)


def test_the_question_names_the_object_and_marks_its_box(env: MemoryRooms) -> None:
    """Only once it has been put."""
    before = env.film(0)
    run(env, 67)
    assert (env.film(0)[WORDS_AT] == before[WORDS_AT]).all()
    run(env, 1)
    after = env.film(0)
    asked = list(COLOURS.values())[int(env.layout.objects[0, env.layout.target[0]]) % 19]
    assert has(after[WORDS_AT], asked)
    assert has(after[VIEW], RIGHT) and not has(before[VIEW], RIGHT)


@pytest.mark.parametrize("name", ["read", "attention"])
def test_what_is_read_is_on_the_time_line(env: MemoryRooms, name: str) -> None:
    """The bar of the step that weighs most is highest, above its place in time; heads are averaged."""
    run(env, 68)
    steps = 68 + CONFIG.choice_steps
    weights = np.zeros((2, 200), np.float32)
    weights[0, 40], weights[1, 10] = 0.9, 0.3
    heights = (env.film(0, {name: weights})[BARS_AT] == READ).all(axis=-1).sum(axis=0)
    assert heights[round(920 * 40 / steps) + 1] == heights.max() > 30
    assert 8 < heights[round(920 * 10 / steps) + 1] < 20
    assert (heights > 0).sum() < 40
    assert not has(env.film(0)[BARS_AT], READ)


def test_every_moment_can_be_drawn(env: MemoryRooms) -> None:
    """From the first step to the last, with everything an actor may show; a frame depends on its arguments alone."""
    generator = np.random.default_rng(0)
    for t in range(128):
        if t % 7 == 0:
            aux = {"action": generator.standard_normal(8), "read": generator.random((2, 3, 200))}
            assert (env.film(0, aux) == env.film(0, aux)).all()
        env.step(choice_to_scores(np.array([4 * (t % 2), 0]), 8))


@pytest.mark.parametrize(
    "aux", [{"read": np.array([np.nan])}, {"read": np.float32(1)}, {"action": np.zeros(3)}, {"attention": np.zeros(0)}]
)
def test_what_cannot_be_drawn_is_refused(env: MemoryRooms, aux: dict[str, Any]) -> None:
    """One sentence that names it."""
    with pytest.raises(HaltereError, match=f"MemoryRooms can't be drawn: {next(iter(aux))}"):
        env.film(0, aux)


def test_the_bench_says_what_the_rooms_cost() -> None:
    """Both speeds and their ratio; bare physics is the faster one, and measuring leaves it where it was."""
    told: list[tuple[int, int]] = []
    result = measure(RoomsConfig(), rounds=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert set(result) == {"full_steps_per_cpu_s", "bare_steps_per_cpu_s", "ratio"}
    assert min(result.values()) > 0
    one, other = MemoryRooms(CONFIG, 2), MemoryRooms(CONFIG, 2)
    one.reset(seed=5)
    other.reset(seed=5)
    run(one, 70)
    run(other, 70)
    one.bare_step()
    run(one, 3)
    run(other, 3)
    assert all((a == b).all() for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
