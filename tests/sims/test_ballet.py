"""Ballet is the published one: dances, timing, contact and pictures, against a slow reading of the same rules."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.sims.actor import RandomActor
from haltere.sims.ballet import picture
from haltere.sims.ballet.config import BalletConfig, Stage
from haltere.sims.ballet.constants import DANCES, PATHS, WORDS, published_limit
from haltere.sims.ballet.draws import layouts
from haltere.sims.ballet.task import Ballet
from haltere.sims.chance import later_seeds
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.lanes import choice_to_scores
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED
from haltere.sims.things import COLOURS, SHAPES, shape_tiles
from tests.sims.ballet_oracle import COMPASS, KEYPAD, MOVES, bitmap, show_of

NORTH, SOUTH = 0, 4
PUBLISHED = [(2, 16, 63), (4, 16, 125), (8, 16, 249), (2, 48, 127), (4, 48, 253), (8, 48, 505)]
"""Dancers, delay, and the step whose action is the first that counts."""


def walk(generator: np.random.Generator, steps: int) -> NDArray[np.int64]:
    """Choices that are each held for a few steps, so that walls and dancers are met."""
    return np.repeat(generator.integers(0, 8, steps), generator.integers(1, 6, steps))[:steps]


def step(env: Ballet, choice: int) -> tuple[Any, ...]:
    """Every world does the same."""
    return env.step(choice_to_scores(np.full(env.num_envs, choice), 8))


def test_the_dances_are_the_published_ones() -> None:
    """13 of 16 moves, within a square of 3 x 3 and back to its middle; the same moves as another list has."""
    assert list(DANCES) == list(MOVES)
    assert PATHS.shape == (13, 16, 2)
    for path, digits in zip(PATHS, MOVES.values(), strict=True):
        assert (path == np.cumsum([KEYPAD[int(digit)] for digit in digits], axis=0)).all()
        assert abs(path).max() == 1
        assert (path[-1] == 0).all()
    assert len({path.tobytes() for path in PATHS}) == 13
    assert WORDS == ("watch", *MOVES)


def test_the_shapes_are_the_published_ones() -> None:
    """15, pixel by pixel as drawn by hand; the small ones are their means and still all different."""
    assert len(COLOURS) == 19
    assert len(set(COLOURS.values())) == 19
    full, small = shape_tiles(9), shape_tiles(3)
    for name, tile, coarse in zip(SHAPES, full, small, strict=True):
        assert (tile == bitmap(name)).all(), name
        np.testing.assert_allclose(coarse, bitmap(name).reshape(3, 3, 3, 3).mean(axis=(1, 3)), atol=1e-7)
    apart = abs(small[:, None] - small[None]).max(axis=(2, 3)) + np.eye(15)
    assert apart.min() > 0.2


@pytest.mark.parametrize("pixels", [33, 99])
@pytest.mark.parametrize(("dancers", "delay"), [*(level[:2] for level in PUBLISHED), (1, 16), (6, 32), (3, 1), (2, 96)])
def test_every_step_is_as_the_rules_say(dancers: int, delay: int, pixels: int) -> None:
    """Pictures, words, rewards and ends of two worlds equal the slow reading's, to float32; actions are random."""
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=pixels), 2)
    obs, _ = env.reset(seed=[7 * dancers + delay, FIRST_HELD_OUT_SEED + dancers])
    shows = [show_of(env.layout, world) for world in range(2)]
    generator = np.random.default_rng(dancers + delay)
    choices = [walk(generator, 1100) for _ in range(2)]
    running = [True, True]
    limit = published_limit(dancers, delay)
    for t in range(1, limit + 1):
        for world in np.flatnonzero(running):
            _compare(obs, world, shows[world], pixels)
        now = np.array([choices[world][t] for world in range(2)])
        obs, reward, terminated, truncated, infos = env.step(choice_to_scores(now, 8))
        for world in np.flatnonzero(running):
            show = shows[world]
            show.tick(int(now[world]))
            touched = show.reward is not None
            assert reward[world] == (show.reward or 0.0)
            assert (terminated[world], truncated[world]) == (touched, not touched and t == limit)
            if touched or t == limit:
                running[world] = False
                _compare(infos["final_obs"], world, show, pixels)
                got = {name: float(values[world]) for name, values in infos["episode"].items()}
                opens = dancers * (15 + delay) + 1
                level = {"dancers": dancers, "delay": delay}
                ended = {"success": show.reward or 0.0, "chose": touched, "steps": t, "choice_steps": t - opens + 1}
                assert got == ended | level
        if not any(running):
            break
    assert not any(running)


def _compare(obs: dict[str, Any], world: int, show: Any, pixels: int) -> None:  # noqa: ANN401 -- the oracle's
    wanted = show.picture() if pixels == 99 else show.small_picture()
    np.testing.assert_allclose(obs["image"][world], wanted, rtol=0, atol=1e-7)
    assert [WORDS[i] for i in np.flatnonzero(obs["instruction"][world])] == [show.word]
    assert obs["instruction"][world].sum() == 1.0


@pytest.mark.parametrize(("dancers", "delay", "opens"), PUBLISHED)
def test_the_question_comes_when_published(dancers: int, delay: int, opens: int) -> None:
    """Until then every action is ignored and the word is "watch"; the one before the opening one is ignored too."""
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=33), 1)
    obs, _ = env.reset(seed=[1])
    assert env.choice_opens.tolist() == [opens]
    target = int(env.layout.dance[0, env.layout.target[0]])
    answer = int(env.answer[0])
    for _ in range(opens - 1):
        assert obs["instruction"][0, 0] == 1.0
        obs, reward, terminated, truncated, _ = step(env, answer)
        assert not (reward[0] or terminated[0] or truncated[0])
    assert obs["instruction"][0, 1 + target] == 1.0
    assert [bool(step(env, answer)[2][0]) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(("dancers", "delay", "limit"), [(2, 16, 320), (8, 16, 320), (2, 48, 1024), (8, 48, 1024)])
def test_the_limits_are_the_published_ones(dancers: int, delay: int, limit: int) -> None:
    """An agent that never meets anybody is cut off there, by truncation and without a reward."""
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=33), 1)
    env.reset(seed=[3])
    for t in range(1, limit + 1):
        _, reward, terminated, truncated, infos = step(env, NORTH if t % 2 else SOUTH)
        assert (reward[0], terminated[0]) == (0.0, False)
        assert truncated[0] == (t == limit)
    assert infos["episode"]["steps"][0] == limit
    assert infos["episode"]["chose"][0] == infos["episode"]["success"][0] == 0.0


def test_unpublished_levels_leave_time_to_choose() -> None:
    """The published limit where it is enough, and never fewer than the 72 steps that 8 dancers have with delay 16."""
    assert published_limit(8, 16) - 8 * 31 == 72
    assert published_limit(8, 96) == 1024
    assert published_limit(8, 200) - 8 * 215 == 72
    env = Ballet(BalletConfig(choice_steps=5, pixels=33), 1)
    env.reset(seed=[0])
    ends = [bool(step(env, NORTH if t % 2 else SOUTH)[3][0]) for t in range(67)]
    assert ends == [False] * 66 + [True]


def test_walls_stop_whole_moves() -> None:
    """Along a wall a diagonal move isn't made by half: against an agent that is walked around by the oracle's rules."""
    env = Ballet(BalletConfig(dancers=1, delay=1, pixels=33, choice_steps=5000), 1)
    env.reset(seed=[2])
    show = show_of(env.layout, 0)
    generator = np.random.default_rng(0)
    blocked = 0
    for choice in walk(generator, 1200):
        before = show.row, show.column
        down, right = KEYPAD[int(COMPASS[choice])]
        if show.choosing and (before[0] + down, before[1] + right) == (show.dancers[0].row, show.dancers[0].column):
            continue
        show.tick(int(choice))
        blocked += show.choosing and before == (show.row, show.column)
        obs, *_ = step(env, int(choice))
        _compare(obs, 0, show, 33)
    assert blocked > 50


def play(actor: Any, env: Ballet, episodes: int) -> EvalReport:  # noqa: ANN401 -- any actor
    """Evaluate on held-out seeds."""
    seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + episodes)
    return evaluate(actor, lambda _: env, list(seeds), task="ballet", actor_name="", runtime="", worlds=env.num_envs)


@pytest.mark.parametrize(("dancers", "delay"), [(2, 16), (8, 16), (4, 48), ("mix", "mix"), (6, 96)])
def test_the_expert_is_always_right(dancers: Any, delay: Any) -> None:  # noqa: ANN401 -- a number or "mix"
    """Success 1.0 at every level, in the three steps that it takes to get there."""
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=33), 16)
    report = play(env.expert(), env, 32)
    assert report.success.mean == 1.0
    assert report.metrics["choice_steps"].mean == 3.0
    if dancers == "mix":
        assert set(report.per_episode["dancers"]) == {2.0, 4.0, 8.0}
        assert set(report.per_episode["delay"]) == {16.0, 48.0}


@pytest.mark.parametrize("dancers", [2, 4, 8])
def test_a_random_actor_is_at_chance(dancers: int) -> None:
    """Of the dancers that it runs into, one in n is the right one."""
    env = Ballet(BalletConfig(dancers=dancers, delay=1, pixels=33), 64)
    report = play(RandomActor(8, seed=0), env, 320)
    assert report.metrics["chose"].mean > 0.9
    assert report.success.low < report.metrics["chose"].mean / dancers < report.success.high


def test_the_pictures_of_a_show_never_tell() -> None:
    """Episodes of one seed at 2 and at 8 dancers share their first two; the target isn't known before the question."""
    few, many = (Ballet(BalletConfig(dancers=n, pixels=33), 1) for n in (2, 8))
    few.reset(seed=[5])
    many.reset(seed=[5])
    for name in ("slot", "dance", "shape", "colour"):
        assert (getattr(few.layout, name) == getattr(many.layout, name)).all()
    firsts = {}
    for seed in range(3000):
        few.reset(seed=[seed])
        key = few.layout.slot[0, :2].tobytes()
        firsts.setdefault(key, []).append(int(few.layout.target[0]))
    assert all(0.2 < np.mean(targets) < 0.8 for targets in firsts.values())


def test_episodes_are_drawn_evenly() -> None:
    """Over 20,000 seeds every slot, dance, shape, colour and target is as likely as any other; none comes twice."""
    layout = layouts(np.arange(20_000), np.array([8]), np.array([16, 48]))
    for array, kinds in ((layout.slot, 8), (layout.dance, 13), (layout.shape, 15), (layout.colour, 19)):
        assert (np.diff(np.sort(array, axis=1), axis=1) > 0).all()
        for dancer in range(8):
            counts = np.bincount(array[:, dancer], minlength=kinds)
            assert ((counts - 20_000 / kinds) ** 2).sum() / (20_000 / kinds) < kinds + 6 * np.sqrt(2 * kinds)
    counts = np.bincount(layout.target, minlength=8)
    assert ((counts - 2500) ** 2).sum() / 2500 < 8 + 6 * 4
    assert abs((layout.delay == 16).mean() - 0.5) < 0.02


def test_training_sees_ever_new_episodes_below_the_held_out_ones() -> None:
    """A world's later seeds hardly repeat, differ from another world's, and none is held out."""
    first = np.repeat(FIRST_HELD_OUT_SEED + np.arange(4), 5000)
    seeds = later_seeds(first, np.tile(np.arange(1, 5001), 4))
    assert seeds.min() >= 0
    assert seeds.max() < FIRST_HELD_OUT_SEED
    assert len(np.unique(seeds)) > 0.98 * len(seeds)
    env = Ballet(BalletConfig(dancers=1, delay=1, pixels=33, choice_steps=3), 4, training=True)
    env.reset(seed=FIRST_HELD_OUT_SEED)
    for number in range(1, 4):
        while not step(env, NORTH)[3][0]:
            pass
        expected = layouts(seeds[number - 1 :: 5000], np.array([1]), np.array([1]))
        for name, array in vars(expected).items():
            assert (getattr(env.layout, name) == array).all()


def test_the_curriculum_sets_the_level_of_new_episodes() -> None:
    """Stages by training's steps, in training only; an episode goes on at its level, through a saved state too."""
    stages = (Stage(until=100, dancers=(2,), delay=(1,)), Stage(until=200, dancers=(2, 3), delay=(1, 4)))
    config = BalletConfig(dancers=5, delay=7, pixels=33, choice_steps=3, curriculum=stages)
    assert _levels(Ballet(config, 32), 0) == {(5, 7)}
    env = Ballet(config, 32, training=True)
    assert _levels(env, 0) == {(2, 1)}
    assert _levels(env, 99) == {(2, 1)}
    assert _levels(env, 100) == {(2, 1), (2, 4), (3, 1), (3, 4)}
    state = env.state_dict()
    env.set_training_steps(200)
    env.load_state_dict(state)
    assert set(env.layout.dancers.tolist()) == {2, 3}
    for _ in range(100):
        step(env, NORTH)
    assert set(env.layout.dancers.tolist()) == {5}
    with pytest.raises(RequestError, match="must end later"):
        Ballet(BalletConfig(curriculum=stages[::-1]), 1)


def _levels(env: Ballet, steps: int) -> set[tuple[int, int]]:
    env.set_training_steps(steps)
    env.reset(seed=0)
    return set(zip(env.layout.dancers.tolist(), env.layout.delay.tolist(), strict=True))


def test_the_target_dance_is_where_it_says() -> None:
    """Only the target moves between the two clocks that ``target_dance`` gives."""
    env = Ballet(BalletConfig(dancers=4, pixels=33), 1)
    obs, _ = env.reset(seed=[11])
    begin, end = env.target_dance[0]
    show = show_of(env.layout, 0)
    for t in range(int(env.choice_opens[0]) - 1):
        target = show.dancers[show.target]
        away = (target.row % 3, target.column % 3) != (2, 2)
        assert not away or begin <= t <= end
        if t in (begin, end + 1):
            assert (show.soloist is target) == (t == begin)
        show.tick(0)
        obs, *_ = step(env, NORTH)
    assert obs["image"].shape == (1, 3, 33, 33)


@pytest.mark.parametrize(
    "change", [("worlds", 4, 0), ("worlds", 4, 9), ("worlds", 5, 0), ("worlds", 6, 3), ("worlds", 3, -1)]
)
def test_impossible_states_are_refused(change: tuple[str, int, int]) -> None:
    """A number of dancers, a delay, a place or a clock that can't be."""
    env = Ballet(BalletConfig(pixels=33), 2)
    env.reset(seed=0)
    name, column, value = change
    state = env.state_dict()
    state[name][1, column] = value
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dancers": 9}, "dancers"),
        ({"dancers": "mixed"}, "dancers"),
        ({"delay": 0}, "delay"),
        ({"pixels": 50}, "pixels"),
        ({"choice_steps": 2}, "choice_steps"),
        ({"curriculum": [{"until": 5, "dancers": []}]}, "curriculum"),
        ({"dancer": 2}, "dancers"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=words):
        task_config(Ballet, wrong)


@given(
    dancers=st.one_of(st.integers(1, 8), st.just("mix")),
    delay=st.one_of(st.integers(1, 60), st.just("mix")),
    seed=st.integers(0, 2**63 - 1),
    choice_steps=st.one_of(st.none(), st.integers(3, 40)),
)
@settings(max_examples=30)
def test_any_level_can_be_won(dancers: Any, delay: Any, seed: int, choice_steps: int | None) -> None:  # noqa: ANN401
    """Whatever the settings and the seed, the right dancer is three steps away and touched first."""
    env = Ballet(BalletConfig(dancers=dancers, delay=delay, pixels=33, choice_steps=choice_steps), 1)
    env.reset(seed=[seed])
    for _ in range(int(env.choice_opens[0]) + 1):
        step(env, int(env.answer[0]))
    _, reward, terminated, _, infos = step(env, int(env.answer[0]))
    assert terminated[0]
    assert reward[0] == infos["episode"]["success"][0] == 1.0


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401 -- a path
    """One sentence, for a missing file and for one that isn't a library."""
    monkeypatch.setattr(picture, "package_folders", [str(tmp_path)])
    picture.library.cache_clear()
    try:
        with pytest.raises(HaltereError, match="is missing"):
            Ballet(BalletConfig(), 1)
        (tmp_path / picture.LIBRARY_NAME).write_bytes(b"no library")
        with pytest.raises(HaltereError, match="can't be loaded"):
            Ballet(BalletConfig(), 1)
    finally:
        picture.library.cache_clear()
