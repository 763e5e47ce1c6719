"""Equal pictures have equal numbers, so that each needs to be encoded only once."""

import numpy as np
import pytest

from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.frames import FRAMES, REST_FRAME, distinct_frames
from haltere.sims.ballet.task import Ballet

STEPS, WORLDS = 400, 5


@pytest.fixture(scope="module", params=[(8, 16), (2, 16), (3, 2)])
def rollout(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images, frame numbers, whether an episode begins and whether its show is over: (T, W, ...)."""
    dancers, delay = request.param
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=33), WORLDS)
    obs, _ = env.reset(seed=3)
    generator = np.random.default_rng(1)
    begins = np.ones(WORLDS, np.bool_)
    rows = []
    for _ in range(STEPS):
        rows.append((obs["image"], env.frame_id, begins, obs["instruction"][:, 0] == 0.0))
        obs, _, terminated, truncated, _ = env.step(generator.uniform(-1, 1, (WORLDS, 8)).astype(np.float32))
        begins = terminated | truncated
    images, frames, begun, asked = (np.array(part) for part in zip(*rows, strict=True))
    assert begun.sum() > WORLDS
    return images, frames, begun, asked


def test_equal_numbers_are_equal_pixels(rollout: tuple[np.ndarray, ...]) -> None:
    """Within an episode two steps have equal images exactly where their frame numbers are equal."""
    images, frames, begins, _ = rollout
    assert frames.min() >= 0
    assert frames.max() < FRAMES
    episode = np.cumsum(begins, axis=0)
    for world in range(WORLDS):
        for number in np.unique(episode[:, world]):
            mine = np.flatnonzero(episode[:, world] == number)
            seen = {(int(frames[t, world]), images[t, world].tobytes()) for t in mine}
            assert len(seen) == len({frame for frame, _ in seen}) == len({pixels for _, pixels in seen})


def test_a_show_has_few_pictures(rollout: tuple[np.ndarray, ...]) -> None:
    """At most 1 + 8 n until the question, which is put over the room at rest."""
    _, frames, begins, asked = rollout
    step, world = np.nonzero(asked[1:] & ~asked[:-1])
    assert len(step)
    assert (frames[step + 1, world] == REST_FRAME).all()
    first = int(np.argmax(asked[:, 0]))
    dancers = {248: 8, 62: 2, 51: 3}[first]
    assert len(np.unique(frames[:first, 0])) <= 1 + 8 * dancers
    assert not begins[1:first, 0].any()


def test_encoding_each_once_is_encoding_all(rollout: tuple[np.ndarray, ...]) -> None:
    """The different pictures, put back to where they were seen, are the whole rollout; no episode lends another one."""
    images, frames, begins, _ = rollout
    distinct = distinct_frames(frames, begins)
    assert (images[distinct.step, distinct.world][distinct.index] == images).all()
    episode = np.cumsum(begins, axis=0)
    seen = {(w, int(episode[t, w]), images[t, w].tobytes()) for t in range(STEPS) for w in range(WORLDS)}
    assert len(distinct.step) == len(seen)
    assert len(distinct.step) < 0.75 * STEPS * WORLDS
    assert distinct.index.shape == (STEPS, WORLDS)


def test_a_rollout_may_begin_within_an_episode(rollout: tuple[np.ndarray, ...]) -> None:
    """Its first row needs no beginning."""
    images, frames, begins, _ = (part[20:] for part in rollout)
    distinct = distinct_frames(frames, begins)
    assert (images[distinct.step, distinct.world][distinct.index] == images).all()
