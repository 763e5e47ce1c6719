"""The evaluator's numbers are those of the seeds' own episodes, whatever the batch."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.actor import Actor, RandomActor
from haltere.sims.evaluate import EvalReport, config_digest, evaluate
from haltere.sims.rollout import Progress, VideoSink, rollout
from haltere.sims.statistics import bootstrap_mean, wilson
from haltere.sims.task import Infos, ObsTree
from tests.sims.toys import TOY, Drift, DriftConfig, Still

SEEDS = range(900_000, 900_011)


def report(
    actor: Actor,
    config: DriftConfig,
    worlds: int = 64,
    progress: Progress | None = None,
    video: VideoSink | None = None,
) -> EvalReport:
    """Evaluate on the toy."""
    return evaluate(
        actor,
        lambda num_envs: Drift(config, num_envs),
        SEEDS,
        task="drift",
        actor_name="still",
        runtime="numpy",
        worlds=worlds,
        progress=progress,
        video=video,
    )


@pytest.mark.parametrize("agents", [None, 2])
@pytest.mark.parametrize("worlds", [1, 4, 11, 64])
def test_scores_are_the_seeds_own(agents: int | None, worlds: int) -> None:
    """Each seed scores what its own episode is worth, though lengths differ and a world goes on after its episode."""
    got = report(Still(), DriftConfig(agents=agents), worlds)
    rows = agents or 1
    success = [float(np.mean([(seed + i) % 3 == 0 for i in range(rows)])) for seed in SEEDS]
    lengths = [5 + seed % 4 for seed in SEEDS]
    assert got.per_episode["success"] == pytest.approx(success)
    assert got.seeds == list(SEEDS)
    assert got.steps == sum(lengths) * rows
    assert (got.episodes, got.seed) == (11, 900_000)


@pytest.mark.parametrize("agents", [None, 3])
def test_batch_size_changes_nothing(agents: int | None) -> None:
    """Equal seeds are equal worlds: every metric of every episode is bit-equal in batches of 1, 4 and 11."""
    runs = [report(Still(), DriftConfig(agents=agents), worlds).per_episode for worlds in (1, 4, 11)]
    assert runs[0] == runs[1] == runs[2]
    assert len(set(runs[0]["travel_m"])) == len(SEEDS)


@pytest.mark.parametrize("agents", [None, 3])
def test_random_draws_are_the_episodes_own(agents: int | None) -> None:
    """A random actor's draws depend on its seed and the episode's, whatever shares the batch; agents draw apart."""
    config = DriftConfig(agents=agents, gain=1.0)
    runs = [report(RandomActor(2, seed=1), config, worlds).per_episode for worlds in (1, 4, 11)]
    assert runs[0] == runs[1] == runs[2]
    assert report(RandomActor(2, seed=2), config).per_episode != runs[0]
    actor = RandomActor(2, seed=1)
    actor.start([5, 6])
    assert len(np.unique(actor.act({"place": np.zeros((6, 1))})["action"])) == 12


def test_intervals_are_over_episodes() -> None:
    """Rates get Wilson's interval, means the bootstrap's, both with one value an episode, not one a drone."""
    got = report(Still(), DriftConfig(agents=3))
    assert got.success == wilson(got.per_episode["success"])
    assert got.metrics == {"travel_m": bootstrap_mean(got.per_episode["travel_m"])}


class Levelled(Drift):
    """The toy, whose levels are told apart by its own success."""

    levels = ("success",)


def test_levels_are_scored_apart() -> None:
    """Each level by its own episodes, under its name; a report without levels has no such key."""
    plain = report(Still(), DriftConfig(agents=None))
    names = {"task": "drift", "actor_name": "still", "runtime": "numpy"}
    got = evaluate(Still(), lambda num_envs: Levelled(DriftConfig(agents=None), num_envs), SEEDS, **names)
    won = sum(seed % 3 == 0 for seed in SEEDS)
    assert {name: level.episodes for name, level in got.levels.items()} == {"success-0": 11 - won, "success-1": won}
    assert [level.success for level in got.levels.values()] == [wilson([0.0] * (11 - won)), wilson([1.0] * won)]
    assert got.as_dict()["levels"]["success-1"]["success"]["mean"] == 1.0
    assert "levels" not in plain.as_dict()
    assert set(got.as_dict()) == {*plain.as_dict(), "levels"}


@pytest.mark.parametrize("agents", [None, 2])
def test_actor_forgets_when_its_episode_ends(agents: int | None) -> None:
    """A lane's memory is as old as its episode, always: reset at each batch, and where a world has ended."""
    actor = Still()
    report(actor, DriftConfig(agents=agents), worlds=4)
    assert len(actor.seen) > 20
    for age, clock in actor.seen:
        assert (age == clock).all()


class Broken:
    """Does well for three steps, then gives what it was told to."""

    def __init__(self, bad: Mapping[str, NDArray[Any]]) -> None:
        """Take what it'll give."""
        self.bad, self.steps = bad, 0

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing to forget."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Zeros, then the bad output."""
        self.steps += 1
        return {"action": np.zeros((len(obs["place"]), 2), np.float32)} if self.steps <= 3 else self.bad


def test_bad_number_names_world_seed_and_step() -> None:
    """A NaN never reaches the physics, and the error says where it came from."""
    action = np.zeros((8, 2), np.float32)
    action[5, 1] = np.nan
    with pytest.raises(HaltereError, match=r"world 2 \(seed 900002\), step 3: .*action\[1\] for agent 1 is nan"):
        report(Broken({"action": action}), DriftConfig(agents=2), worlds=4)


@pytest.mark.parametrize("bad", [{"action": np.zeros((8, 3))}, {"action": np.zeros((4, 2, 2))}, {"act": np.zeros(1)}])
def test_bad_shape_is_refused(bad: Mapping[str, NDArray[Any]]) -> None:
    """An action of another shape, or none, is an error of the actor, not a broadcast."""
    with pytest.raises(HaltereError, match=r"step 3: the actor must give an 'action' of shape \(8, 2\), got"):
        report(Broken(bad), DriftConfig(agents=2), worlds=4)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"success": 1.0}, "without its metric 'travel_m'"),
        ({"success": 1.0, "travel_m": np.nan}, r"seed 900000: metric 'travel_m' is nan"),
        ({"success": 1.5, "travel_m": 0.0}, r"lies in \[0, 1\]"),
    ],
)
def test_bad_metric_is_refused(metrics: dict[str, float], message: str) -> None:
    """A task that doesn't deliver what it declared fails the evaluation instead of thinning it out."""

    class Liar(Drift):
        def step(self, actions: NDArray[np.float32]) -> tuple[ObsTree, Any, Any, Any, Infos]:
            *rest, infos = super().step(actions)
            if infos:
                infos["episode"] = {k: np.full(self.num_envs, v, np.float32) for k, v in metrics.items()}
            return (*rest, infos)

    with pytest.raises(HaltereError, match=message):
        evaluate(
            Still(), lambda n: Liar(DriftConfig(agents=None), n), SEEDS, task="", actor_name="", runtime="", worlds=4
        )


def test_json_is_the_agreed_one() -> None:
    """The keys of ``eval --json``, with the per-episode values and seeds that a paired comparison needs."""
    got = json.loads(report(RandomActor(2, seed=1), DriftConfig()).to_json())
    agreed = "task actor runtime episodes seed success metrics wall_s steps config_digest version".split()
    assert set(got) == {*agreed, "seeds", "per_episode"}
    assert set(got["success"]) == set(got["metrics"]["travel_m"]) == {"mean", "low", "high"}
    assert got["success"]["low"] <= got["success"]["mean"] <= got["success"]["high"]
    assert (got["task"], got["actor"], got["runtime"]) == ("drift", "still", "numpy")
    assert got["wall_s"] > 0
    assert {name: len(v) for name, v in got["per_episode"].items()} == {"success": 11, "travel_m": 11}


def test_digest_is_of_canonical_json() -> None:
    """The digest can be recomputed from the file format alone, and tells configurations and tasks apart."""
    text = b'{"env":{"agents":2,"gain":0.1,"spread":4,"steps":5},"task":"toy/Drift-v0"}'
    digest = hashlib.sha256(text).hexdigest()
    assert config_digest(TOY, DriftConfig()) == digest
    assert config_digest(TOY, {"steps": 5, "gain": 0.1, "spread": 4, "agents": 2}) == digest
    assert report(Still(), DriftConfig()).config_digest == digest
    assert config_digest(TOY, DriftConfig(gain=0.2)) != digest
    assert config_digest("toy/Drift-v1", DriftConfig()) != digest
    with pytest.raises(RequestError, match="no canonical JSON"):
        config_digest(TOY, {"gain": float("nan")})


class Film:
    """Keeps the frames."""

    def __init__(self, fps: float) -> None:
        """Want so many frames a second."""
        self.fps = fps
        self.frames: list[NDArray[np.uint8]] = []

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Keep."""
        self.frames.append(frame)


@pytest.mark.parametrize(
    ("fps", "played", "clocks"), [(10, 10, [0, 1, 2, 3, 4]), (100, 10, [0, 1, 2, 3, 4]), (4, 4, [0, 3])]
)
def test_film_is_of_the_first_episode(fps: float, played: float, clocks: list[int]) -> None:
    """Every frame shows the first seed's world, in step with simulated time, with what the actor did there."""
    film = Film(fps)
    report(Still(), DriftConfig(agents=2), worlds=3, video=film)
    assert film.fps == pytest.approx(played)
    shown = np.array([frame[0, 0] for frame in film.frames])
    assert shown[:, 0].tolist() == [900_000 % 256] * len(clocks)
    assert shown[:, 1].tolist() == clocks
    assert len(set(shown[:, 2].tolist())) > 1


def test_progress_counts_to_the_end() -> None:
    """Progress never goes back and ends with every episode done and the steps that the report gives."""
    calls: list[tuple[int, int, int]] = []
    got = report(Still(), DriftConfig(), worlds=4, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls)
    assert calls[-1] == (11, 11, got.steps)
    assert {total for _, total, _ in calls} == {11}


def test_nothing_to_roll_out_is_refused() -> None:
    """No seeds, or no worlds, is a wrong request."""
    for seeds, worlds in (((), 4), ((1,), 0)):
        with pytest.raises(RequestError, match="at least one seed and one world"):
            rollout(Still(), lambda n: Drift(DriftConfig(), n), seeds, worlds=worlds)


def test_worlds_are_released_when_the_actor_fails() -> None:
    """An error on the way leaves no world behind."""
    built: list[Drift] = []

    def build(num_envs: int) -> Drift:
        built.append(Drift(DriftConfig(), num_envs))
        return built[0]

    with pytest.raises(HaltereError):
        rollout(Broken({}), build, SEEDS)
    assert built[0].closed
