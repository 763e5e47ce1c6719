"""Memory-streets: maps against another library's shortest ways, steps against the rules, and what memory is worth."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, shortest_path

from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.sims.actor import RandomActor
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.lanes import choice_to_scores
from haltere.sims.registration import task_config
from haltere.sims.streets.config import Stage, StreetsConfig
from haltere.sims.streets.constants import MIX_SIZE
from haltere.sims.streets.draws import Neighbourhood, neighbourhoods, tasks
from haltere.sims.streets.task import METRICS, MemoryStreets
from haltere.sims.task import FIRST_HELD_OUT_SEED
from tests.sims.streets_actors import Mapper

NORTH = 0
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


def step(env: MemoryStreets, choice: Any) -> tuple[Any, ...]:  # noqa: ANN401 -- a number or one a world
    """Every world does that."""
    return env.step(choice_to_scores(np.broadcast_to(np.asarray(choice), (env.num_envs,)), 4))


def play(actor: Any, config: StreetsConfig, episodes: int) -> EvalReport:  # noqa: ANN401 -- any actor
    """Evaluate on held-out seeds."""
    seeds = list(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + episodes))
    return evaluate(actor, lambda n: MemoryStreets(config, n), seeds, task="", actor_name="", runtime="")


def drawn(size: int, detours: float, count: int = 40, side: int = 0) -> Neighbourhood:
    """Neighbourhoods of one size."""
    return neighbourhoods(np.arange(count), np.array([size]), side or size, detours)


@pytest.mark.parametrize("detours", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("size", "side"), [(3, 3), (5, 5), (4, 6), (8, 8)])
def test_a_neighbourhood_is_a_connected_part_of_a_grid(size: int, side: int, detours: float) -> None:
    """Streets join neighbours, go both ways and reach every junction; ways are the shortest, by scipy's Dijkstra."""
    layout = drawn(size, detours, count=10, side=side)
    inside = [row * side + column for row in range(size) for column in range(size)]
    outside = np.setdiff1d(np.arange(side * side), inside)
    for leads, way, look in zip(layout.leads, layout.way, layout.look, strict=True):
        graph = np.zeros((side * side, side * side))
        for junction in range(side * side):
            for direction, (down, right) in enumerate(MOVES):
                to = int(leads[junction, direction])
                if to != junction:
                    assert divmod(to, side) == (junction // side + down, junction % side + right)
                    assert leads[to, (direction + 2) % 4] == junction
                    graph[junction, to] = 1.0
        assert not graph[outside].any()
        assert connected_components(graph[np.ix_(inside, inside)])[0] == 1
        assert (way[np.ix_(inside, inside)] == shortest_path(graph, "D")[np.ix_(inside, inside)]).all()
        assert way[outside].min(initial=2**40) > 10_000
        assert len(set(look.tolist())) == side * side
        assert 0 <= look.min() <= look.max() < 2**16
        streets = graph.sum() / 2
        if detours in (0.0, 1.0):
            assert streets == (size * size - 1 if detours == 0.0 else 2 * size * (size - 1))


def test_neighbourhoods_are_drawn_evenly() -> None:
    """Every street of a tree's remainder is as often open as asked for, every look and size as likely as any other."""
    layout = drawn(5, 0.3, count=400)
    streets = (layout.leads != np.arange(25)[:, None]).sum(axis=(1, 2)) / 2
    assert abs((streets.mean() - 24) / 16 - 0.3) < 0.02
    bits = (layout.look[..., None] >> np.arange(16)) & 1
    assert abs(bits.mean(axis=(0, 1)) - 0.5).max() < 0.02
    opened = (layout.leads[:, :, 1] != np.arange(25)).mean(axis=0).reshape(5, 5)
    assert abs(opened[:, :4] - opened[:, :4][::-1]).max() < 0.13
    sizes = neighbourhoods(np.arange(800), np.array(MIX_SIZE), 6, 0.3).size
    assert abs(np.bincount(sizes)[3:] / 800 - 0.25).max() < 0.06


def test_goals_are_drawn_evenly() -> None:
    """At least two streets away, from everywhere and to everywhere."""
    layout = drawn(4, 0.5, count=1)
    many = Neighbourhood(*(np.repeat(array, 8000, axis=0) for array in vars(layout).values()))
    start, goal = tasks(np.arange(8000) // 8, np.arange(8000) % 8, many, np.arange(8000), None)
    assert layout.way[0, start, goal].min() == 2
    counts = np.bincount(start, minlength=16)
    assert ((counts - 500) ** 2).sum() / 500 < 16 + 6 * np.sqrt(32)
    for place in range(16):
        far = np.flatnonzero(layout.way[0, place] >= 2)
        hits = np.bincount(goal[start == place], minlength=16)
        assert set(np.flatnonzero(hits)) == set(far)
        expected = hits.sum() / len(far)
        assert ((hits[far] - expected) ** 2).sum() / expected < len(far) + 6 * np.sqrt(2 * len(far))


@pytest.mark.parametrize("relocate", [True, False])
@pytest.mark.parametrize(("size", "goals"), [(3, 8), (5, 16)])
def test_every_step_is_as_the_rules_say(size: int, goals: int, relocate: bool) -> None:
    """Places, appearances, rewards, ends and metrics of an episode of random steps, read off its map by hand."""
    env = MemoryStreets(StreetsConfig(size=size, goals=goals, relocate=relocate, goal_steps=6), 1)
    obs, _ = env.reset(seed=[size])
    layout = env.layout
    generator = np.random.default_rng(size)
    looks = {look: junction for junction, look in enumerate(layout.look[0].tolist())}
    results, taken, clock, over = [], 0, 0, False
    here, goal = start, _ = _places(env, obs, looks)
    assert obs["fresh"].tolist() == [[1.0, 0.0]]
    while not over:
        choice = int(generator.integers(4)) if generator.random() < 0.7 else int(env.answer[0])
        to = int(layout.leads[0, here, choice])
        assert obs["streets"][0, choice] == (to != here)
        obs, reward, terminated, truncated, infos = step(env, choice)
        moved, here, taken, clock = to != here, to, taken + 1, clock + 1
        arrived = here == goal
        assert reward[0] == arrived
        sensed = infos["final_obs"] if infos else obs
        assert sensed["fresh"][0, 1] == arrived
        assert not truncated[0]
        done = arrived or taken == 6
        if done:
            results.append((taken, int(layout.way[0, start, goal]), arrived))
        over = len(results) == goals
        assert terminated[0] == over
        if over:
            break
        now, next_goal = _places(env, obs, looks)
        assert obs["fresh"][0, 0] == done
        gone = np.zeros(4)
        if not done or not relocate:
            assert now == here
            gone[choice] = moved
        assert (obs["last"][0] == gone).all()
        if done:
            start, taken = now, 0
        else:
            assert next_goal == goal
        here, goal = now, next_goal
    needed = np.array([reached * shortest / steps for steps, shortest, reached in results])
    beyond = np.array([steps - shortest for steps, shortest, _ in results], float)
    expected = [needed.mean(), np.mean([r for *_, r in results]), needed[0], needed[goals // 2 :].mean()]
    expected += [*beyond.reshape(8, -1).mean(axis=1), clock, size]
    got = [infos["episode"][name][0] for name in METRICS]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def _places(env: MemoryStreets, obs: dict[str, NDArray[Any]], looks: dict[int, int]) -> tuple[int, int]:
    """Where the agent is and has to go, by what it senses; and by what the worlds say."""
    numbers = [sum(int(bit > 0) << i for i, bit in enumerate(obs[name][0])) for name in ("here", "goal")]
    here, goal = (looks[number] for number in numbers)
    assert (here, goal) == tuple(int(place[0]) for place in env.places)
    return here, goal


def test_the_expert_takes_the_shortest_way() -> None:
    """Efficiency 1 at every size, and as many steps as the ways are long."""
    for config in (StreetsConfig(), StreetsConfig(size="mix", relocate=False), StreetsConfig(size=8, goals=16)):
        env = MemoryStreets(config, 16)
        seeds = list(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + 16))
        report = evaluate(env.expert(), lambda _, env=env: env, seeds, task="", actor_name="", runtime="")
        assert report.success.mean == report.metrics["reached"].mean == 1.0
        assert report.metrics["excess_1"].mean == report.metrics["excess_8"].mean == 0.0


@pytest.mark.parametrize("relocate", [True, False])
def test_memory_makes_later_goals_nearer(relocate: bool) -> None:
    """A map drawn from the observations soon gives shortest ways; one that is lost with each goal never does."""
    config = StreetsConfig(relocate=relocate)
    keeping, losing = (play(Mapper(forgetful), config, 100) for forgetful in (False, True))
    random = play(RandomActor(4, seed=0), config, 100)
    first = keeping.metrics["efficiency_first"].mean
    assert first == losing.metrics["efficiency_first"].mean
    assert keeping.metrics["efficiency_late"].mean > 0.9
    assert keeping.metrics["excess_8"].mean < 0.6 < 8.0 < keeping.metrics["excess_1"].mean
    assert abs(losing.metrics["efficiency_late"].mean - first) < 0.06
    assert random.success.mean < 0.5 * first
    assert abs(random.metrics["efficiency_late"].mean - random.metrics["efficiency_first"].mean) < 0.06


def test_the_curriculum_sets_the_size_of_new_episodes() -> None:
    """Stages by training's steps, in training only; an episode goes on at its size, through a saved state too."""
    stages = Stage(until=100, size=(3,)), Stage(until=200, size=(3, 6))
    config = StreetsConfig(size=4, curriculum=stages)
    assert _sizes(MemoryStreets(config, 8), 0) == {4}
    env = MemoryStreets(config, 16, training=True)
    assert _sizes(env, 0) == {3}
    assert _sizes(env, 150) == {3, 6}
    state = env.state_dict()
    env.set_training_steps(200)
    env.load_state_dict(state)
    assert set(env.layout.size.tolist()) == {3, 6}
    for _ in range(8 * 60):
        step(env, NORTH)
    assert set(env.layout.size.tolist()) == {4}
    with pytest.raises(RequestError, match="must end later"):
        MemoryStreets(StreetsConfig(curriculum=stages[::-1]), 1)


def _sizes(env: MemoryStreets, steps: int) -> set[int]:
    env.set_training_steps(steps)
    env.reset(seed=0)
    return set(env.layout.size.tolist())


@pytest.mark.parametrize(
    "change", [("size", 2), ("size", 6), ("here", 25), ("goal", 99), ("task", 8), ("last", 5), ("clock", -1)]
)
def test_impossible_states_are_refused(change: tuple[str, int]) -> None:
    """A size, a place, a task or a clock that can't be."""
    columns = ["first", "number", "seed", "size", "clock", "task", "taken", "here", "start", "goal", "last", "arrived"]
    env = MemoryStreets(StreetsConfig(), 2)
    env.reset(seed=0)
    state = env.state_dict()
    state["worlds"][1, columns.index(change[0])] = change[1]
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": 9}, "size"),
        ({"size": "mixed"}, "size"),
        ({"goals": 12}, "goals"),
        ({"detours": 1.5}, "detours"),
        ({"goal_steps": 3}, "goal_steps"),
        ({"curriculum": [{"until": 5, "size": []}]}, "curriculum"),
        ({"goal": 8}, "goals"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=words):
        task_config(MemoryStreets, wrong)


def test_a_film_shows_map_goal_and_what_is_read() -> None:
    """One size, from the first step to the next episode; the goal is marked, and weights are on the time line."""
    env = MemoryStreets(StreetsConfig(size="mix", goal_steps=8), 2)
    env.reset(seed=1)
    generator = np.random.default_rng(0)
    green, read = (74, 222, 128), (255, 196, 61)
    for t in range(70):
        if t % 9 == 0:
            plain = env.film(1)
            assert plain.shape == (540, 960, 3)
            assert plain.dtype == np.uint8
            assert (plain[20:424, 20:424] == green).all(axis=-1).any()
            assert not (plain[452:495] == read).all(axis=-1).any()
            frame = env.film(1, {"action": generator.standard_normal(4), "read": generator.random((2, 480))})
            assert (frame[452:495] == read).all(axis=-1).any()
        step(env, generator.integers(4, size=2))
    for aux in ({"read": np.array([np.nan])}, {"action": np.zeros(3)}):
        with pytest.raises(HaltereError, match=f"MemoryStreets can't be drawn: {next(iter(aux))}"):
            env.film(0, aux)
