"""Push-T: episodes are the package's, pushes lead where they are said to, and demonstrators cover the goal."""

from typing import Any

import numpy as np
import pytest
import shapely
from shapely import affinity

from haltere.configs.errors import ConfigError, IntegrityError, RequestError
from haltere.configs.installation import needs
from haltere.sims.actor import ExpertActor
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.pusht.config import PushTConfig
from haltere.sims.pusht.constants import AGENT_PX, BOARD_PX, CENTROID, OUTLINE, SUCCESS, TURNING_PX2, rotation
from haltere.sims.pusht.engine import PushTEnv
from haltere.sims.pusht.expert import DISLIKE, styles
from haltere.sims.pusht.plan import Board, Mood, after, next_push, off
from haltere.sims.pusht.pushes import SIDES, pushes
from haltere.sims.pusht.task import PushT
from haltere.sims.pusht.ways import CORNERS, GAP_PX, lengths, next_stop, roads, straight
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED

GOAL = (256.0, 256.0, np.pi / 4)
GRAVITY = np.array([0.0, 45.0])
"""The block's centre of gravity, in the package's frame."""


def tee(x: float, y: float, yaw: float) -> shapely.Geometry:
    """The T as the package's picture has it: a top of 120 by 30 and a stem of 30 by 90, from the top's middle on."""
    whole = shapely.union(shapely.box(-60, 0, 60, 30), shapely.box(-15, 30, 15, 120))
    return affinity.translate(affinity.rotate(whole, yaw, origin=(0, 0), use_radians=True), x, y)


def play(config: PushTConfig, first: int, episodes: int) -> EvalReport:
    """Evaluate the demonstrators on seeds from ``first`` on."""
    seeds = list(range(first, first + episodes))
    return evaluate(ExpertActor(), lambda n: PushT(config, n), seeds, task="", actor_name="", runtime="")


def seen(env: PushT) -> Board:
    """What the demonstrator of the first world sees."""
    return Board.seen(env._observe()["state"][0].astype(float))


def test_an_episode_is_the_packages_own() -> None:
    """The same starts, observations, rewards and ends as the package's environment of that seed, commanded alike."""
    env, generator = PushT(PushTConfig(), 2), np.random.default_rng(0)
    obs, _ = env.reset(seed=[7, 8])
    theirs: Any = PushTEnv(obs_type="state")
    want, _ = theirs.reset(seed=8)
    for _ in range(40):
        x, y, block_x, block_y, cosine, sine = obs["state"][1].astype(float)
        np.testing.assert_allclose((x, y, block_x, block_y), want[:4], rtol=1e-6)
        np.testing.assert_allclose((cosine, sine), (np.cos(want[4]), np.sin(want[4])), atol=1e-6)
        action = generator.uniform(-1.0, 1.0, (2, 2)).astype(np.float32)
        obs, reward, terminated, *_ = env.step(action)
        want, want_reward, want_end, _, _ = theirs.step(256.0 + 256.0 * action[1].astype(float))
        assert reward[1] == np.float32(want_reward)
        assert terminated[1] == want_end


def test_coverage_is_the_common_area() -> None:
    """Of the two T's as shapely's unions have it; success is more than 0.95 of it, and the reward goes along."""
    env = PushT(PushTConfig(), 3)
    obs, _ = env.reset(seed=300)
    expert, goal, positive = env.expert(), tee(*GOAL), 0
    for _ in range(70):
        obs, reward, terminated, _, infos = env.step(np.asarray(expert.act(obs)["action"]))
        for world in np.flatnonzero(~terminated):
            covered = tee(*env._worlds.shown[world, 2:5]).intersection(goal).area / goal.area
            assert env._worlds.coverage[world] == pytest.approx(covered, abs=1e-6)
            assert reward[world] == pytest.approx(covered / SUCCESS, abs=1e-6)
            positive += covered > 0.1
        for world in np.flatnonzero(terminated):
            assert infos["episode"]["coverage"][world] > SUCCESS
            assert (infos["episode"]["success"][world], reward[world]) == (1.0, 1.0)
    assert positive > 50


def test_starts_fill_the_packages_ranges() -> None:
    """Agent from 50 to 449, block from 100 to 399 and any angle, where neither wall nor agent moved it at once."""
    env = PushT(PushTConfig(), 300)
    env.reset(seed=0)
    shown = env._worlds.shown
    assert (shown[:, :2] == shown[:, :2].round()).all()
    angle = shown[:, 4, None, None]
    turned = np.concatenate([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=2).reshape(-1, 2, 2)
    placed = shown[:, 2:4] + turned @ GRAVITY - GRAVITY  # the package sets its place before it turns it
    still = abs(placed - placed.round()).max(axis=1) < 1e-6
    assert still.mean() > 0.7
    even = [(shown[:, :2].T, 50, 450), (placed[still].round().T, 100, 400), (shown[None, :, 4], 0.0, 2 * np.pi)]
    for columns, low, high in even:
        for values in columns:
            assert low <= values.min() and values.max() < high
            shares = (np.sort(values) - low) / (high - low)
            assert abs(shares - np.linspace(0, 1, len(values))).max() < 1.95 / np.sqrt(len(values))  # 0.1 %


def test_what_is_known_of_the_block() -> None:
    """Outline, centroid and spread against shapely's, and against points strewn over it."""
    assert shapely.Polygon(OUTLINE).equals(affinity.translate(tee(0, 0, 0), 0, -45))
    assert shapely.Polygon(OUTLINE).centroid.coords[0] == pytest.approx(tuple(CENTROID), abs=1e-9)
    x, y = np.meshgrid(np.arange(-59.5, 60), np.arange(-44.5, 75))
    within = shapely.contains_xy(shapely.Polygon(OUTLINE), x, y)
    points = np.stack([x[within], y[within]], axis=1)
    spread = ((points - CENTROID) ** 2).sum(axis=1).mean()
    assert spread == pytest.approx(TURNING_PX2, rel=1e-3)
    way, turned = np.array([[7.0, -3.0]]), np.array([0.8])
    moved = (points - CENTROID) @ rotation(0.8).T + way[0] + CENTROID
    assert off(way, turned)[0] == pytest.approx(np.sqrt(((moved - points) ** 2).sum(axis=1).mean()), rel=1e-3)


@pytest.mark.parametrize("contact", [0, 6, 12, 18, 21, 31, 36, 44, 58, 66])
def test_a_push_leads_where_it_is_said_to(contact: int) -> None:
    """The package's block, pushed at a point of it, comes along that arc: as far as it turns, or as it goes."""
    theirs: Any = PushTEnv(obs_type="state")
    ready = pushes().ready[contact] + GRAVITY
    theirs.reset(seed=0, options={"reset_to_state": [*(ready + 256), 256.0, 256.0, 0.0]})
    length, point = 40.0, pushes().touching[contact]

    def board() -> Board:
        shown = theirs.get_obs()
        return Board.seen(np.array([*shown[:4], np.cos(shown[4]), np.sin(shown[4])]))

    begun, before = board(), theirs.block.angle
    for step in range(14):
        ahead = min(length, max(0.0, 6.0 * (step - 1)))
        moved, turn = pushes().moved(np.array([contact]), np.array([ahead]), point)
        theirs.step(begun.place(moved[0]))
    for _ in range(6):
        theirs.step(begun.place(moved[0]))
    middle = begun.turned.T @ (board().middle - begun.middle)
    went, _ = pushes().moved(np.array([contact]), np.array([length]), np.zeros(2))
    np.testing.assert_allclose(middle, went[0], atol=1.0)
    assert theirs.block.angle - before == pytest.approx(turn[0], abs=0.02)


def test_a_plan_foresees_the_pose() -> None:
    """``after`` against a push carried out on the board by rotations alone."""
    env = PushT(PushTConfig(), 1)
    env.reset(seed=[5])
    board, contacts = seen(env), np.arange(len(pushes().side))
    way, turned = after(board, contacts, np.full(len(contacts), 30.0))
    for contact in contacts:
        moved, turn = pushes().moved(np.array([contact]), np.array([30.0]), np.zeros(2))
        yaw = board.yaw + turn[0]
        later = Board(board.place(moved[0]), rotation(yaw), yaw, board.agent)
        np.testing.assert_allclose(later.pose[0], way[contact], atol=1e-9)
        assert later.pose[1] == pytest.approx(turned[contact])


def test_ways_keep_off_the_block() -> None:
    """Lines against shapely's distances; from anywhere there is a way to every push, no shorter than a line."""
    block, generator = shapely.Polygon(OUTLINE), np.random.default_rng(0)
    begin, end = generator.uniform(-150.0, 150.0, (2, 40, 2))
    measured = straight(begin, end, GAP_PX)
    for row, one in enumerate(begin):
        for column, other in enumerate(end):
            apart = shapely.LineString([one, other]).distance(block)
            if abs(apart - GAP_PX) > 0.5:  # looked at in 41 places, not everywhere
                assert np.isfinite(measured[row, column]) == (apart > GAP_PX)
    assert np.isfinite(roads().between).all()
    assert (roads().between.diagonal() == 0.0).all()
    for place in begin[shapely.distance(shapely.points(begin), block) > GAP_PX]:
        ways = lengths(place, np.ones(len(CORNERS), bool))
        assert np.isfinite(ways).all()
        assert (ways >= np.hypot(*(pushes().ready - place).T) - 1e-9).all()


def test_whoever_goes_from_stop_to_stop_arrives() -> None:
    """By ways as long as was said, and never touching."""
    block, free = shapely.Polygon(OUTLINE), np.ones(len(CORNERS), bool)
    for place in np.array([(-120.0, 30.0), (0.0, 130.0), (90.0, -30.0), (36.0, 6.0)]):
        for contact in range(0, len(pushes().side), 9):
            at, gone, said = place, 0.0, lengths(place, free)[contact]
            for _ in range(9):
                stop = next_stop(at, contact, free)
                assert shapely.LineString([at, stop]).distance(block) > AGENT_PX
                gone, at = gone + float(np.hypot(*(stop - at))), stop
                if (at == pushes().ready[contact]).all():
                    break
            assert (at == pushes().ready[contact]).all()
            assert gone <= said + 1e-6


def test_demonstrators_cover_the_goal() -> None:
    """On seeds that nothing was chosen on, well before the package's limit."""
    report = play(PushTConfig(), FIRST_HELD_OUT_SEED, 4)
    assert report.success.mean == 1.0
    assert report.metrics["coverage"].low > SUCCESS
    assert report.metrics["steps"].mean < 150


@pytest.mark.slow
def test_demonstrators_cover_the_goal_nearly_always() -> None:
    """On 60 seeds, at least nine times of ten."""
    assert play(PushTConfig(), FIRST_HELD_OUT_SEED + 1000, 60).success.mean >= 0.9


def test_demonstrators_differ() -> None:
    """In the same place, which push somebody begins with depends on what he likes; what he likes is drawn evenly."""
    taste = styles(np.arange(1000)).taste
    assert taste.shape == (1000, SIDES)
    assert 1.0 <= taste.min() and taste.max() <= 1.0 + DISLIKE
    assert taste.mean() == pytest.approx(1.0 + DISLIKE / 2, abs=0.03)
    env, differing = PushT(PushTConfig(), 1), 0
    for seed in range(4):
        env.reset(seed=[seed])
        first = {int(pushes().side[next_push(seen(env), Mood(taste[who]))[0]]) for who in range(8)}
        differing += len(first) > 1
    assert differing


def test_time_is_up() -> None:
    """Whoever stands still is cut off, without success, and what was covered at most is told."""
    env = PushT(PushTConfig(limit_steps=3), 1)
    env.reset(seed=[3])
    for step in range(1, 4):
        stay = 2.0 * env._worlds.shown[:, :2] / BOARD_PX - 1.0
        _, _, terminated, truncated, infos = env.step(stay.astype(np.float32))
        assert (terminated[0], truncated[0]) == (False, step == 3)
    assert (infos["episode"]["success"][0], infos["episode"]["steps"][0]) == (0.0, 3.0)


@pytest.mark.parametrize(
    "change", [("worlds", (1, 2), -1), ("worlds", (1, 3), 300), ("body", (0, 0, 0), np.nan), ("body", (0, 1, 0), 513)]
)
def test_impossible_states_are_refused(change: tuple[str, tuple[int, ...], float]) -> None:
    """A seed, a clock or a command that can't be."""
    env = PushT(PushTConfig(), 2)
    env.reset(seed=0)
    which, place, value = change
    state = env.state_dict()
    state[which][place] = value
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


@pytest.mark.parametrize("wrong", [{"expert_noise": -1.0}, {"limit_steps": 0}, {"limit_step": 5}])
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=next(iter(wrong)) if "limit_step" not in wrong else "limit_steps"):
        task_config(PushT, wrong)


def test_no_worlds_are_refused() -> None:
    """As are no threads."""
    for worlds, threads in ((0, 1), (1, 0)):
        with pytest.raises(RequestError, match="at least 1"):
            PushT(PushTConfig(), worlds, threads=threads)


def test_without_the_package_the_extra_is_named() -> None:
    """Whoever lacks it is told what brings it."""
    assert needs("task haltere/PushT-v0", "gym_pusht").endswith("pip install 'haltere[manip]'")
