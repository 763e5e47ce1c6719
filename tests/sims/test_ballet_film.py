"""A film of Ballet shows the room, the word, the action and what is read, at one size."""

from typing import Any

import numpy as np
import pytest

from haltere.configs.errors import HaltereError
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet
from haltere.sims.lanes import choice_to_scores
from tests.sims.ballet_oracle import show_of

SIZE = (540, 960, 3)
VIEW = (slice(20, 416), slice(20, 416))
WORDS_AT = (slice(70, 130), slice(440, 940))
BARS_AT = (slice(452, 494), slice(20, 940))
READ_RGB = (255, 196, 61)


@pytest.fixture
def env() -> Ballet:
    """Two worlds of four dancers in the fast profile."""
    built = Ballet(BalletConfig(dancers=4, pixels=33), 2)
    built.reset(seed=[21, 22])
    return built


def run(env: Ballet, steps: int) -> None:
    """Everybody goes where the second world's answer is."""
    for _ in range(steps):
        env.step(choice_to_scores(np.full(2, env.answer[1]), 8))


def test_the_view_is_what_the_agent_sees_large(env: Ballet) -> None:
    """At the published resolution whatever the profile, four times as large."""
    run(env, 40)
    show = show_of(env.layout, 1)
    for _ in range(40):
        show.tick(0)
    frame = env.film(1)
    assert frame.shape == SIZE
    assert frame.dtype == np.uint8
    wanted = np.rint(255 * show.picture().transpose(1, 2, 0)).repeat(4, axis=0).repeat(4, axis=1)
    assert (frame[VIEW] == wanted).all()


def test_the_word_changes_with_the_question(env: Ballet) -> None:
    """And only with it; the right dancer is marked from then on."""
    before = env.film(0)
    run(env, 1)
    assert (env.film(0)[WORDS_AT] == before[WORDS_AT]).all()
    run(env, 123)
    after = env.film(0)
    assert (after[WORDS_AT] != before[WORDS_AT]).any()
    green = (74, 222, 128)
    assert (after[VIEW] == green).all(axis=-1).any()
    assert not (before[VIEW] == green).all(axis=-1).any()
    assert after.shape == SIZE


@pytest.mark.parametrize("name", ["read", "attention"])
def test_what_is_read_is_on_the_time_line(env: Ballet, name: str) -> None:
    """The bar of the step that weighs most is highest, above its place in time; heads are averaged."""
    run(env, 124)
    steps = 124 + 16
    weights = np.zeros((2, 320), np.float32)
    weights[0, 70] = 0.9
    weights[1, 30] = 0.3
    bars = (env.film(0, {name: weights})[BARS_AT] == READ_RGB).all(axis=-1)
    heights = bars.sum(axis=0)
    left = round(920 * 70 / steps)
    assert heights[left + 1] == heights.max() > 30
    assert 8 < heights[round(920 * 30 / steps) + 1] < 20
    assert (heights > 0).sum() < 40
    plain = env.film(0)
    assert not (plain == READ_RGB).all(axis=-1).any()


def test_every_moment_can_be_drawn(env: Ballet) -> None:
    """From the first step to the last of an episode that ends at its limit, with everything an actor may show."""
    generator = np.random.default_rng(0)
    for t in range(320):
        if t % 13 == 0:
            aux = {"action": generator.standard_normal(8), "read": generator.random((2, 3, 320))}
            assert env.film(0, aux).shape == SIZE
        env.step(choice_to_scores(np.array([4 * (t % 2), 0]), 8))


@pytest.mark.parametrize(
    "aux", [{"read": np.array([np.nan])}, {"read": np.float32(1)}, {"action": np.zeros(3)}, {"attention": np.zeros(0)}]
)
def test_what_cannot_be_drawn_is_refused(env: Ballet, aux: dict[str, Any]) -> None:
    """One sentence that names it."""
    with pytest.raises(HaltereError, match=f"Ballet can't be drawn: {next(iter(aux))}"):
        env.film(0, aux)
