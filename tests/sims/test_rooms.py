"""Memory-rooms: what is shown when, what is sensed, who can know the answer, and that bodies are MuJoCo's."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError, IntegrityError, RequestError
from haltere.sims.actor import RandomActor
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.lanes import choice_to_scores
from haltere.sims.mujoco.rooms.config import RoomsConfig, Stage
from haltere.sims.mujoco.rooms.constants import ROOM, WORDS
from haltere.sims.mujoco.rooms.draws import layouts, screen, walk_point
from haltere.sims.mujoco.rooms.task import MemoryRooms
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED
from haltere.sims.things import COLOURS, SHAPES
from tests.sims.rooms_actors import Nearest, Numbered, Rememberer, boxes_of

AHEAD = 0
SHORT = RoomsConfig(delay=20, turns=True)


def step(env: MemoryRooms, choice: Any) -> tuple[Any, ...]:  # noqa: ANN401 -- a number or one a world
    """Every world does that."""
    return env.step(choice_to_scores(np.broadcast_to(np.asarray(choice), (env.num_envs,)), 8))


def to_the_question(env: MemoryRooms) -> dict[str, NDArray[np.float32]]:
    """Step until the first world's next action counts; returns the last observation."""
    while not env.acts[0]:
        obs, *_ = step(env, AHEAD)
    return obs


def play(actor: Any, config: RoomsConfig, episodes: int) -> EvalReport:  # noqa: ANN401 -- any actor
    """Evaluate on held-out seeds."""
    seeds = list(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + episodes))
    return evaluate(actor, lambda n: MemoryRooms(config, n), seeds, task="", actor_name="", runtime="")


def named(vector: NDArray[np.float32]) -> tuple[str, ...]:
    """The words of a vector of ones and zeros."""
    assert set(vector.tolist()) <= {0.0, 1.0}
    words = WORDS if len(vector) == len(WORDS) else WORDS[1:]
    return tuple(words[i] for i in np.flatnonzero(vector))


def name(thing: int) -> tuple[str, str]:
    """Shape and colour of an object by its number."""
    return SHAPES[thing // 19], list(COLOURS)[thing % 19]


@pytest.mark.parametrize(
    ("boxes", "delay", "asked_after", "distractors"), [(8, 25, 0, 4), (1, 1, 0, 0), (3, 14, 2, 1), (5, 7, 1, 2)]
)
def test_every_step_shows_what_the_rules_say(boxes: int, delay: int, asked_after: int, distractors: int) -> None:
    """Boxes, screens, objects and words of a whole episode against a reading of the rules, event by event."""
    config = RoomsConfig(boxes=boxes, delay=delay, asked_after=asked_after, distractors=distractors)
    env = MemoryRooms(config, 1)
    obs, _ = env.reset(seed=[boxes + FIRST_HELD_OUT_SEED])
    layout = env.layout
    events: list[tuple[int | None, bool]] = []
    for show in range(asked_after + 1):
        for box in layout.order[0, :boxes]:
            events += [(show * boxes + int(box), False)] * 4 + [(None, False)] * 2
        events += [(None, t % 6 < 4 and distractors > 0) for t in range(delay)]
    used = {int(thing) for thing in layout.objects[0, : boxes * (asked_after + 1)]}
    for t, (index, screened) in enumerate(events):
        assert not env.acts[0]
        assert named(obs["instruction"][0]) == ("watch",)
        opened = [box for box, (*_, is_open) in enumerate(boxes_of(obs, 0)) if is_open]
        assert opened == ([] if index is None else [index % boxes])
        assert obs["screens"][0].sum() == screened
        assert not obs["screens"][0, distractors:].any()
        shown = named(obs["shown"][0])
        if index is not None:
            assert shown == name(int(layout.objects[0, index]))
        elif screened:
            assert shown not in {name(thing) for thing in used}
            assert len(shown) == 2
        else:
            assert shown == ()
        if index == layout.target[0]:
            assert env.target_shown[0, 0] <= t <= env.target_shown[0, 1]
        assert env.asked_about.tolist() == [[-1, -1]]
        obs, *_ = step(env, AHEAD)
    assert env.asked_about.tolist() == env.target_shown.tolist()
    assert env.choice_opens[0] == len(events) + 1
    assert env.acts[0]
    assert named(obs["instruction"][0]) == name(int(layout.objects[0, layout.target[0]]))
    assert not obs["shown"].any()
    assert not obs["screens"].any()


@pytest.mark.parametrize("turns", [False, True])
def test_what_is_sensed_is_where_it_is(turns: bool) -> None:
    """Boxes taken back from the body's frame into the room's stand still where they were put, while it moves."""
    env = MemoryRooms(RoomsConfig(boxes=6, delay=30, turns=turns), 3)
    walls = np.array([(3.0, 0.0), (0.0, 3.0), (-3.0, 0.0), (0.0, -3.0)])
    obs, _ = env.reset(seed=4)
    there, headings = env.layout.place[:, :6], []
    for _ in range(66):
        for world in range(3):
            cos, sin, x, y = obs["self"][world, :4]
            found = [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b, _ in boxes_of(obs, world)]
            np.testing.assert_allclose(found, there[world], atol=1e-5)
            assert not obs["boxes"][world].reshape(8, 3)[6:].any()
            assert np.hypot(x, y) < ROOM.led_m + 0.05
            opened = [place for place, (*_, is_open) in zip(found, boxes_of(obs, world), strict=True) if is_open]
            opened += [walls[screen] for screen in np.flatnonzero(obs["screens"][world])]
            a, b = obs["where"][world]
            for place in opened:
                np.testing.assert_allclose((x + cos * a - sin * b, y + sin * a + cos * b), place, atol=1e-5)
            assert len(opened) == obs["shown"][world].any()
            assert opened or (a, b) == (0.0, 0.0)
        headings.append(obs["self"][:, :2].copy())
        obs, *_ = step(env, AHEAD)
    cosines = np.array(headings)[:, :, 0]
    assert (cosines.min(axis=0) < 0.5).all() if turns else (cosines == 1.0).all()


def test_by_bearing_the_same_boxes_come_in_another_order() -> None:
    """Counter-clockwise from ahead; sorted by number they are the other order's to the bit."""
    level = {"boxes": 7, "delay": 9, "turns": True}
    number, bearing = (MemoryRooms(RoomsConfig(order=order, **level), 2) for order in ("number", "bearing"))
    one, other = number.reset(seed=3)[0], bearing.reset(seed=3)[0]
    for _ in range(50):
        for world in range(2):
            rows, turned = (obs["boxes"][world].reshape(8, 3) for obs in (one, other))
            assert {row.tobytes() for row in rows} == {row.tobytes() for row in turned}
            angle = np.arctan2(turned[:7, 1], turned[:7, 0]) % (2 * np.pi)
            assert (np.diff(angle) > 0).all()
        one, other = step(number, AHEAD)[0], step(bearing, AHEAD)[0]


def test_nobody_moves_itself_before_it_is_asked() -> None:
    """Different actions give the same world to the bit until the question, and another one after it."""
    one, other = MemoryRooms(SHORT, 2), MemoryRooms(SHORT, 2)
    one.reset(seed=1)
    other.reset(seed=1)
    for t in range(69):
        a, b = step(one, t % 8)[0], step(other, 3)[0]
        assert all((a[key] == b[key]).all() for key in a) == (t < 68)
        assert one.acts.all() == (t >= 67)


def test_walking_is_the_servos_closed_form() -> None:
    """Straight ahead from rest: a first-order lag by semi-implicit Euler, solved by hand; the heading is kept."""
    env = MemoryRooms(SHORT, 1)
    env.reset(seed=0)
    to_the_question(env)
    state = env.state_dict()
    state["body"][:] = 0.0
    state["body"][0, :3] = -1.0, -1.0, 0.6
    env.load_state_dict(state)
    for tick in range(1, 5):
        obs, *_ = step(env, AHEAD)
        kept = (1.0 - ROOM.sim_dt_s / ROOM.servo_s) ** np.arange(1, 4 * tick + 1)
        speed = ROOM.agent_mps * (1.0 - kept)
        cos, sin, x, y, ahead, left, rate = obs["self"][0]
        assert (cos, sin) == (np.float32(np.cos(0.6)), np.float32(np.sin(0.6)))
        assert ahead == pytest.approx(speed[-1], abs=1e-6)
        assert np.hypot(x + 1.0, y + 1.0) == pytest.approx(ROOM.sim_dt_s * speed.sum(), abs=1e-6)
        assert (abs(left), abs(rate)) < (1e-6, 1e-6)


def test_walls_hold() -> None:
    """An agent that walks into a wall for an episode is no deeper in it than a contact gives way."""
    env = MemoryRooms(RoomsConfig(boxes=1, delay=1), 8)
    env.reset(seed=0)
    to_the_question(env)
    farthest = 0.0
    for _ in range(50):
        obs, _, terminated, *_ = step(env, np.arange(8))
        farthest = max(farthest, float(abs(obs["self"][~terminated, 2:4]).max()))
    assert ROOM.side_m / 2 - ROOM.agent_radius_m - 0.01 < farthest < ROOM.side_m / 2 - 0.1


def test_an_episode_ends_in_contact() -> None:
    """The sphere meets the box that is named by its number, and only then is the episode over; by plane geometry."""
    env = MemoryRooms(SHORT, 16)
    env.reset(seed=50)
    to_the_question(env)
    place, target = env.layout.place, env.layout.target
    running = np.ones(16, bool)
    for _ in range(SHORT.choice_steps):
        obs, reward, terminated, truncated, infos = step(env, np.arange(16) % 8)
        ended = running & (terminated | truncated)
        last = infos["final_obs"]["self"] if ended.any() else obs["self"]
        apart = np.maximum(abs(last[:, None, 2:4] - place) - ROOM.box_half_m, 0.0)
        gap = np.hypot(apart[..., 0], apart[..., 1]) - ROOM.agent_radius_m
        touched = gap.min(axis=1) < 0.03
        assert (touched | ~terminated)[running].all()
        assert (gap.min(axis=1) > -0.12)[running].all()
        for world in np.flatnonzero(ended & terminated):
            assert reward[world] == (gap[world].argmin() == target[world]) == infos["episode"]["success"][world]
            assert infos["episode"]["chose"][world] == 1.0
        for world in np.flatnonzero(ended & truncated):
            assert infos["episode"]["choice_steps"][world] == SHORT.choice_steps
            assert infos["episode"]["chose"][world] == reward[world] == 0.0
        running &= ~ended
    assert not running.any()


@pytest.mark.parametrize(("boxes", "turns"), [(1, False), (8, False), (2, True), (8, True), ("mix", True)])
def test_the_expert_is_always_right(boxes: Any, turns: bool) -> None:  # noqa: ANN401 -- a number or "mix"
    """The straight way to a box never leads into another one."""
    config = RoomsConfig(boxes=boxes, delay=1, turns=turns)
    made: list[MemoryRooms] = []

    class Late:
        """The expert of the worlds that the evaluation is about to build."""

        def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
            """Nothing."""

        def act(self, obs: Any) -> Any:  # noqa: ANN401 -- an array tree
            """What the expert does."""
            return made[0].expert().act(obs)

    def make(worlds: int) -> MemoryRooms:
        made.append(MemoryRooms(config, worlds))
        return made[0]

    report = evaluate(Late(), make, list(range(900_000, 900_512)), task="", actor_name="", runtime="")
    assert report.success.mean == 1.0
    assert report.metrics["choice_steps"].mean < 12


@pytest.mark.parametrize("order", ["number", "bearing"])
@pytest.mark.parametrize(
    "level",
    [
        {"boxes": 2, "delay": 20},
        {"delay": 20},
        {"delay": 500, "turns": True},
        {"delay": 20, "asked_after": 3, "turns": True},
    ],
)
def test_whoever_remembers_what_it_sensed_is_right(order: Any, level: dict[str, Any]) -> None:  # noqa: ANN401
    """The task can be solved from the observations, through a long delay and further shows, in either order."""
    report = play(Rememberer(), RoomsConfig(order=order, **level), 32)
    assert report.success.mean == 1.0


@pytest.mark.parametrize("actor", [Nearest(), Numbered(0), Numbered(1)])
@pytest.mark.parametrize("boxes", [2, 8])
def test_whoever_remembers_nothing_is_at_chance(actor: Any, boxes: int) -> None:  # noqa: ANN401 -- any actor
    """It always arrives at a box, which is the right one once in ``boxes``."""
    report = play(actor, RoomsConfig(boxes=boxes, delay=1, turns=True), 512)
    assert report.metrics["chose"].mean > 0.9
    assert abs(report.success.mean - report.metrics["chose"].mean / boxes) < 4.0 * np.sqrt((boxes - 1) / 512) / boxes


def test_a_random_actor_is_at_chance() -> None:
    """Of the boxes that it runs into, one in n is the right one."""
    report = play(RandomActor(8, seed=0), RoomsConfig(boxes=4, delay=1, choice_steps=200), 256)
    assert report.metrics["chose"].mean > 0.7
    assert report.success.low < report.metrics["chose"].mean / 4 < report.success.high


def test_episodes_are_drawn_evenly() -> None:
    """Over 4,000 seeds: boxes stand apart and everywhere, every object, order and target is as likely as any other."""
    count = 4000
    drawn = layouts(np.arange(count), np.array([8]), np.array([16, 48]), np.array([0, 1]))
    assert (np.sort(drawn.order, axis=1) == np.arange(8)).all()
    assert (np.sort(drawn.objects, axis=1) == np.arange(285)).all()
    radius = np.hypot(*np.moveaxis(drawn.place, -1, 0))
    assert ROOM.nearest_m <= radius.min() < radius.max() <= ROOM.farthest_m
    angle = np.sort(np.arctan2(drawn.place[..., 1], drawn.place[..., 0]), axis=1)
    gaps = np.diff(np.concatenate([angle, angle[:, :1] + 2 * np.pi], axis=1), axis=1)
    assert gaps.min() > ROOM.gap_rad - 1e-9
    corners = np.arctan2(drawn.place[:, 0, 1], drawn.place[:, 0, 0])
    for values, kinds in (
        (drawn.target, 8),
        (drawn.order[:, 0], 8),
        (drawn.order[:, 7], 8),
        (drawn.objects[:, 0], 285),
        (np.floor((corners + np.pi) / (2 * np.pi) * 16).astype(int), 16),
    ):
        counts = np.bincount(values, minlength=kinds)
        assert ((counts - count / kinds) ** 2).sum() / (count / kinds) < kinds + 6 * np.sqrt(2 * kinds)
    assert abs((drawn.delay == 16).mean() - 0.5) < 0.04
    assert abs((drawn.shows == 1).mean() - 0.5) < 0.04


def test_fewer_boxes_stand_freely() -> None:
    """Two boxes may be anywhere but too near to each other, and those that aren't there are at nowhere."""
    drawn = layouts(np.arange(3000), np.array([2]), np.array([1]), np.array([0]))
    assert not drawn.place[:, 2:].any()
    a, b = (np.arctan2(drawn.place[:, i, 1], drawn.place[:, i, 0]) for i in range(2))
    gap = (a - b) % (2 * np.pi)
    even = (np.sort(gap) - ROOM.gap_rad) / (2 * np.pi - 2 * ROOM.gap_rad)
    assert abs(even - np.linspace(0, 1, 3000)).max() < 1.63 / np.sqrt(3000)  # Kolmogorov and Smirnov, 1 %
    assert drawn.target.max() == 1


def test_ways_and_screens_are_drawn_evenly() -> None:
    """Points fill their disc, headings the turn, and screens and their objects all there are."""
    seeds, number = np.repeat(np.arange(100), 100), np.tile(np.arange(100), 100)
    point, heading = walk_point(seeds, number)
    radius = np.hypot(point[:, 0], point[:, 1])
    assert abs((radius < ROOM.led_m / np.sqrt(2)).mean() - 0.5) < 0.03
    assert abs(np.mean(np.exp(1j * heading))) < 0.04
    assert len(np.unique(point, axis=0)) == 10_000
    which, thing = screen(seeds, number, 3, np.full(10_000, 40))
    assert set(which.tolist()) == {0, 1, 2}
    counts = np.bincount(thing, minlength=40)
    assert ((counts - 250) ** 2).sum() / 250 < 40 + 6 * np.sqrt(80)


def test_nearing_is_paid_in_training_alone() -> None:
    """The rewards of a walk add up to the metres gained, and to what the box is worth."""
    config = RoomsConfig(boxes=3, delay=1, progress=0.5)
    for training in (True, False):
        env = MemoryRooms(config, 1, training=training)
        env.reset(seed=[FIRST_HELD_OUT_SEED])
        obs = to_the_question(env)
        start, place = obs["self"][0, 2:4].copy(), env.layout.place[0, env.layout.target[0]]
        paid, over = 0.0, False
        while not over:
            _, reward, terminated, _, infos = step(env, env.answer)
            paid, over = paid + float(reward[0]), bool(terminated[0])
        last = infos["final_obs"]["self"][0, 2:4]
        gained = np.hypot(*(place - start)) - np.hypot(*(place - last))
        assert paid == pytest.approx(1.0 + 0.5 * gained * training, abs=1e-5)


def test_training_walks_may_be_shorter() -> None:
    """An agent that meets nobody is cut off after as many steps as the setting for it says."""
    config = RoomsConfig(boxes=1, delay=1, choice_steps=20, training_choice_steps=9)
    for training, steps in ((True, 9), (False, 20)):
        env = MemoryRooms(config, 1, training=training)
        env.reset(seed=[3])
        to_the_question(env)
        ends = [bool(step(env, 4 * (t % 2))[3][0]) for t in range(steps)]
        assert ends == [False] * (steps - 1) + [True]


def test_the_curriculum_sets_the_level_of_new_episodes() -> None:
    """Stages by training's steps, in training only."""
    second = Stage(until=200, boxes=(2, 3), delay=(1, 4), asked_after=(0, 1))
    stages = Stage(until=100, boxes=(2,), delay=(1,)), second
    config = RoomsConfig(boxes=5, delay=7, choice_steps=8, curriculum=stages)
    assert _levels(MemoryRooms(config, 32), 0) == {(5, 7, 1)}
    env = MemoryRooms(config, 64, training=True)
    assert _levels(env, 0) == {(2, 1, 1)}
    assert _levels(env, 100) == {(b, d, s) for b in (2, 3) for d in (1, 4) for s in (1, 2)}
    state = env.state_dict()
    env.set_training_steps(200)
    env.load_state_dict(state)
    assert set(env.layout.boxes.tolist()) == {2, 3}
    for _ in range(60):
        step(env, AHEAD)
    assert set(env.layout.boxes.tolist()) == {5}
    with pytest.raises(RequestError, match="must end later"):
        MemoryRooms(RoomsConfig(curriculum=stages[::-1]), 1)


def _levels(env: MemoryRooms, steps: int) -> set[tuple[int, ...]]:
    env.set_training_steps(steps)
    env.reset(seed=0)
    layout = env.layout
    return set(zip(layout.boxes.tolist(), layout.delay.tolist(), layout.shows.tolist(), strict=True))


@pytest.mark.parametrize(
    "change",
    [("worlds", 4, 0), ("worlds", 4, 9), ("worlds", 5, 0), ("worlds", 6, 0), ("worlds", 3, -1), ("body", 0, np.nan),
     ("body", 1, 9.0)],
)  # fmt: skip
def test_impossible_states_are_refused(change: tuple[str, int, float]) -> None:
    """A number of boxes, a delay, a clock or a place that can't be."""
    env = MemoryRooms(SHORT, 2)
    env.reset(seed=0)
    which, column, value = change
    state = env.state_dict()
    state[which][1, column] = value
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"boxes": 9}, "boxes"),
        ({"delay": 0}, "delay"),
        ({"distractors": 5}, "distractors"),
        ({"order": "colour"}, "order"),
        ({"asked_after": 20}, "asked_after"),
        ({"progress": -1.0}, "progress"),
        ({"curriculum": [{"until": 5, "boxes": []}]}, "curriculum"),
        ({"box": 2}, "boxes"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=words):
        task_config(MemoryRooms, wrong)
