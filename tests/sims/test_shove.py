"""A shove comes once, when and where the seed says, as far as it is told; until then nothing is changed."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError
from haltere.sims.actor import ExpertActor
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.mujoco.fork import draws as fork_draws
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.constants import SHOVE_BEHIND_M, SHOVE_STEPS
from haltere.sims.mujoco.fork.task import ManipFork
from haltere.sims.mujoco.mt10 import draws as ten_draws
from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.constants import SHOVE_STEPS as TEN_SHOVE_STEPS
from haltere.sims.mujoco.mt10.task import ManipMT10
from haltere.sims.mujoco.pixels.config import PixelsConfig
from haltere.sims.mujoco.pixels.task import ManipPixels
from haltere.sims.registration import load_task, task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED, TaskVectorEnv

SEED, SHOVE_M, SHOVED = FIRST_HELD_OUT_SEED, 0.05, 5
Y = 1
FILM_WORDS = (slice(0, 40), slice(None))


def flown(env: TaskVectorEnv[Any], steps: int) -> NDArray[np.float32]:
    """What the experts sense after so many steps."""
    obs, _ = env.reset(seed=SEED)
    expert = env.expert()
    for _ in range(steps):
        obs, *_ = env.step(np.asarray(expert.act(obs)["action"]))
    state: NDArray[np.float32] = obs["state"]
    return state


def play(config: ForkConfig, episodes: int, worlds: int = 64) -> EvalReport:
    """The experts on held-out seeds."""
    seeds = range(SEED, SEED + episodes)
    kind = {"task": "", "actor_name": "", "runtime": ""}
    return evaluate(ExpertActor(), lambda n: ManipFork(config, n), seeds, worlds=worlds, **kind)


def test_the_paddle_is_set_aside_as_far_as_told() -> None:
    """By that much beside the same world that isn't shoved, before the drawn step; nothing differs until then."""
    plain, shoved = ManipFork(ForkConfig(), 64), ManipFork(ForkConfig(shove_m=SHOVE_M), 64)
    drawn = fork_draws.shoves(np.arange(SEED, SEED + 64))
    obs, _ = plain.reset(seed=SEED)
    shoved.reset(seed=SEED)
    expert, running, seen = plain.expert(), np.ones(64, bool), 0
    late = 0
    for step in range(max(SHOVE_STEPS) + 1):
        action = np.asarray(expert.act(obs)["action"])
        before = shoved.state_dict()
        behind = before["body"][:, 0] > shoved._worlds.scene.pane_x + SHOVE_BEHIND_M
        fresh = running & (before["worlds"][:, SHOVED] == 0)
        due = fresh & (drawn.step <= step) & behind
        alike = fresh & ~due
        late += int((due & (drawn.step < step)).sum())
        obs, _, over, *_ = plain.step(action)
        other, _, also_over, *_ = shoved.step(action)
        running &= ~(over | also_over)
        assert (obs["state"][alike] == other["state"][alike]).all()
        now = shoved.state_dict()["worlds"][:, SHOVED]
        assert (now[due & running] == step).all() and (now[alike] == 0).all()
        seen += int(due.sum())
        if due.any():
            # The period after it, from the state that should have been made of the one before it.
            moved = {name: array.copy() for name, array in before.items()}
            moved["body"][due, Y] += SHOVE_M * drawn.side[due]
            plainly = ManipFork(ForkConfig(), 64)
            plainly.reset(seed=0)
            plainly.load_state_dict(moved)
            assert (plainly.step(action)[0]["state"][due] == other["state"][due]).all()
    assert seen > 50 and late < 6  # experts are past the pane by then, nearly all


def test_a_paddle_before_the_pane_isnt_set_down_in_it() -> None:
    """Whoever waits there isn't shoved at all; whoever is put behind it is, once."""
    env = ManipFork(ForkConfig(shove_m=0.2, limit_steps=1000), 16)
    env.reset(seed=SEED)
    still = np.zeros((16, 2), np.float32)
    state = env.state_dict()
    state["body"][:, 5:7] = 0.0
    env.load_state_dict(state)
    for _ in range(max(SHOVE_STEPS) + 5):
        env.step(still)
    state = env.state_dict()
    assert (state["worlds"][:, SHOVED] == 0).all()
    state["body"][:, 0], state["body"][:, 1] = env._worlds.scene.pane_x + 0.04, 0.0
    state["body"][:, 5:7] = 0.0
    env.load_state_dict(state)
    for _ in range(3):
        env.step(still)
    after = env.state_dict()
    assert (after["worlds"][:, SHOVED] == state["worlds"][:, 3]).all()
    side = fork_draws.shoves(np.arange(SEED, SEED + 16)).side
    np.testing.assert_allclose(after["body"][:, Y], 0.2 * side, atol=1e-9)


def test_experts_recover_on_the_fork() -> None:
    """Nearly always, and it costs them steps."""
    plain, shoved = play(ForkConfig(), 200), play(ForkConfig(shove_m=SHOVE_M), 200)
    assert shoved.success.mean >= 0.98
    assert shoved.metrics["steps"].mean > plain.metrics["steps"].mean + 0.5
    assert play(ForkConfig(shove_m=SHOVE_M), 20, worlds=7).per_episode["steps"] == shoved.per_episode["steps"][:20]


def test_both_demonstrations_of_a_scene_are_shoved_alike() -> None:
    """Where each scene is demonstrated twice."""
    env = ManipFork(ForkConfig(experts="both", shove_m=SHOVE_M), 32)
    env.reset(seed=100)
    assert (env._worlds._shove.step[::2] == env._worlds._shove.step[1::2]).all()
    assert (env._worlds._shove.side[::2] == env._worlds._shove.side[1::2]).all()


def test_a_saved_world_remembers_that_it_was_shoved() -> None:
    """It isn't shoved again, and one that hasn't been is: both go on bit for bit."""
    config = ForkConfig(shove_m=SHOVE_M)
    env, other = ManipFork(config, 64), ManipFork(config, 64)
    obs = flown(env, 10)
    state = env.state_dict()
    assert 0 < (state["worlds"][:, SHOVED] > 0).sum() < 64
    other.reset(seed=5)
    other.load_state_dict(state)
    for _ in range(6):
        action = np.asarray(env.expert().act({"state": obs})["action"])
        obs = env.step(action)[0]["state"]
        assert (other.step(action)[0]["state"] == obs).all()


@pytest.mark.parametrize(
    ("shoves", "steps"),
    [
        (lambda seeds: fork_draws.shoves(seeds).step, SHOVE_STEPS),
        (lambda seeds: ten_draws.shoves(seeds)[0], TEN_SHOVE_STEPS),
    ],
)
def test_every_step_is_as_likely(shoves: Any, steps: tuple[int, int]) -> None:  # noqa: ANN401 -- a function
    """Over 6,000 seeds: each from the first to the last, and both sides or all directions."""
    drawn = shoves(np.arange(SEED, SEED + 6000))
    counts = np.bincount(drawn, minlength=steps[1] + 1)
    expected = 6000 / (steps[1] - steps[0] + 1)
    assert drawn.min() == steps[0] and drawn.max() == steps[1]
    assert (abs(counts[steps[0] :] - expected) < 4.5 * np.sqrt(expected)).all()


def test_sides_and_directions_are_fair() -> None:
    """As often left as right, whoever demonstrates; level, of unit length, and all round."""
    seeds = np.arange(SEED, SEED + 4000)
    side, way = fork_draws.shoves(seeds).side, ten_draws.shoves(seeds)[1]
    assert abs(side.mean()) < 4.0 / np.sqrt(4000) and set(side) == {-1.0, 1.0}
    assert (way[:, 2] == 0.0).all()
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1.0)
    assert (abs(way.mean(axis=0)) < 3.0 / np.sqrt(4000)).all()
    assert (abs((way**2).mean(axis=0)[:2] - 0.5) < 0.03).all()


def test_the_hand_ends_as_far_aside_as_told() -> None:
    """Of a hand that isn't commanded anywhere: 5 cm in the drawn direction, a quarter of a second later; not before."""
    config = {"tasks": ("reach", "push", "pick-place", "door-open"), "limit_steps": 10_000}
    plain, shoved = (ManipMT10(MT10Config(shove_m=size, **config), 8) for size in (0.0, SHOVE_M))
    for env in (plain, shoved):
        env.reset(seed=SEED)
    step, way = ten_draws.shoves(np.arange(SEED, SEED + 8))
    still = np.zeros((8, 4), np.float32)
    for now in range(max(TEN_SHOVE_STEPS) + 20):
        one, other = plain.step(still)[0]["state"], shoved.step(still)[0]["state"]
        assert (one[step > now] == other[step > now]).all()
        assert (one[step == now] != other[step == now]).any(axis=1).all()
    np.testing.assert_allclose((other - one)[:, :3], SHOVE_M * way, atol=2e-3)
    assert [shoved._worlds.shoved_at(world) for world in range(8)] == step.tolist()
    assert {plain._worlds.shoved_at(world) for world in range(8)} == {None}


def test_a_shove_comes_between_two_commands_where_each_holds_for_several_steps() -> None:
    """Before the drawn control step of the task that is seen, too, whose steps are four of Meta-World's."""
    config: dict[str, Any] = {"tasks": ("reach", "push"), "cameras": "none", "limit_steps": 10_000}
    plain, shoved = (ManipPixels(PixelsConfig(shove_m=size, **config), 8) for size in (0.0, SHOVE_M))
    for env in (plain, shoved):
        env.reset(seed=SEED)
    step, way = ten_draws.shoves(np.arange(SEED, SEED + 8))
    still = np.zeros((8, 4), np.float32)
    for now in range(max(TEN_SHOVE_STEPS) + 6):
        one, other = (env.step(still)[0]["proprioception"] for env in (plain, shoved))
        assert (one[step > now] == other[step > now]).all()
        assert (one[step == now] != other[step == now]).any(axis=1).all()
    np.testing.assert_allclose((other - one)[:, :3], SHOVE_M * way, atol=2e-3)
    assert [shoved._worlds.shoved_at(world) for world in range(8)] == (4 * step).tolist()


def test_experts_of_the_ten_recover() -> None:
    """Two unseen episodes of each sub-task; threads and a saved state change nothing."""
    config = MT10Config(shove_m=SHOVE_M)
    report = evaluate(
        *(ExpertActor(), lambda n: ManipMT10(config, n), range(SEED, SEED + 20)),
        **{"task": "", "actor_name": "", "runtime": ""},
    )
    assert report.success.mean >= 0.85
    one, other, later = ManipMT10(config, 10), ManipMT10(config, 10, threads=3), ManipMT10(config, 10)
    ways = [flown(env, 20) for env in (one, other)]
    assert (ways[0] == ways[1]).all()
    later.reset(seed=3)
    later.load_state_dict(one.state_dict())
    action = np.full((10, 4), 0.3, np.float32)
    for _ in range(max(TEN_SHOVE_STEPS) - 20):
        assert (later.step(action)[0]["state"] == one.step(action)[0]["state"]).all()
    other.close()


def test_a_film_says_when() -> None:
    """From the shove on, in the words above the table."""
    plain, shoved = ManipFork(ForkConfig(), 1), ManipFork(ForkConfig(shove_m=SHOVE_M), 1)
    step = int(fork_draws.shoves(np.array([SEED])).step[0])
    for steps, alike in ((step, True), (step + 1, False)):
        flown(plain, steps)
        flown(shoved, steps)
        assert (plain.film(0)[FILM_WORDS] == shoved.film(0)[FILM_WORDS]).all() == alike


@pytest.mark.parametrize("name", ["manip-fork", "manip-mt10"])
@pytest.mark.parametrize("wrong", [-0.01, 0.3, float("nan"), "far"])
def test_wrong_shoves_are_refused(name: str, wrong: Any) -> None:  # noqa: ANN401 -- wrong values
    """Negative, too far, or no number."""
    with pytest.raises(ConfigError, match="shove_m"):
        task_config(load_task(name), {"shove_m": wrong})
