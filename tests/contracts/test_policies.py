"""What every policy promises, checked on every registered policy and every value that its configuration offers."""

import dataclasses
import json
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from haltere.deploy.export import TaskFacts, export
from haltere.deploy.loading import TorchActor
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.store import write_folder
from haltere.deploy.weights import save_weights, weights_digest
from haltere.policies.base import Policy, Signature
from haltere.policies.chunking.base import ChunkPolicy
from haltere.policies.registry import build_policy, draw_zeros, policy_config_type, policy_names

from .flight import STEPS, fly, observations
from .rows import ROWS

CONFIG = {"name": "row", "task": "row/Row-v0", "module": "row", "env": {}, "trainer": {"type": "none"}}
FACTS = TaskFacts("row/Row-v0", 0.01, {})


@dataclass(frozen=True)
class Case:
    """One policy with one configuration, for one kind of task."""

    name: str
    config: Any
    signature: Signature

    def build(self, seed: int = 0) -> Policy[Any]:
        """The network with weights of that seed, ready to act."""
        policy = build_policy(self.config, self.signature, seed).eval()
        draw_zeros(policy, seed)
        return policy


def cases() -> Iterator[Any]:
    """Each policy as its row has it, and where it takes them with images; then with every other value of a setting."""
    for name in policy_names():
        config_type = policy_config_type(name)
        row = ROWS[name]
        default = config_type(**row.settings)
        yield pytest.param(Case(name, default, row.signature), id=name)
        if row.seeing is not None:
            yield pytest.param(Case(name, default, row.seeing), id=f"{name}-images")
        for field, kind in typing.get_type_hints(config_type).items():
            values = (True, False) if kind is bool else typing.get_args(kind) if "Literal" in str(kind) else ()
            for value in values:
                if value != getattr(default, field):
                    config = dataclasses.replace(default, **{field: value})
                    yield pytest.param(Case(name, config, row.signature), id=f"{name}-{field}-{value}")


CASES = list(cases())
every_case = pytest.mark.parametrize("case", CASES)


def test_every_policy_has_its_row() -> None:
    """A new policy is tested by adding one line."""
    assert set(policy_names()) <= set(ROWS)


@every_case
def test_an_answer_depends_on_what_is_sensed(case: Case) -> None:
    """On each observation, within four steps: what is compared below would otherwise be compared with itself."""
    policy = case.build()
    obs, drawn = observations(policy, 4, seed=1), observations(policy, 4, seed=2)

    def answers(obs: dict[str, torch.Tensor]) -> torch.Tensor:
        state, seen = policy.initial_state(4), []
        with torch.no_grad():
            for _ in range(4):
                out, state = policy(obs, state)
                seen += [tensor.float().flatten() for tensor in (*out.values(), *state.values())]
        return torch.cat(seen)

    for name in obs:
        assert (answers(obs) - answers(obs | {name: drawn[name]})).abs().max() > 1e-4, name


@every_case
def test_lanes_come_first_and_dont_mix(case: Case) -> None:
    """Every output and state has the batch axis first, and a lane's answer doesn't depend on its neighbours."""
    policy = case.build()
    obs, state = observations(policy, 4, seed=1), policy.initial_state(4)
    with torch.no_grad():
        out, following = policy(obs, state)
        for lane in range(4):
            part = slice(lane, lane + 1)
            alone, _ = policy({k: t[part] for k, t in obs.items()}, {k: t[part] for k, t in state.items()})
            for name, tensor in alone.items():
                torch.testing.assert_close(tensor[0], out[name][lane], rtol=0, atol=1e-5)
    assert out["action"].shape == (4, policy.signature.action)
    assert out["action"].dtype == torch.float32
    assert all(len(tensor) == 4 for tensor in out.values())
    assert {k: (t.shape, t.dtype) for k, t in following.items()} == {k: (t.shape, t.dtype) for k, t in state.items()}


@every_case
def test_all_memory_is_in_the_state(case: Case) -> None:
    """Called again with the same observations and state, it answers the same to the bit; its inputs are untouched."""
    policy = case.build()
    obs, state = observations(policy, 4, seed=1), policy.initial_state(4)
    kept = {name: tensor.clone() for name, tensor in {**obs, **state}.items()}
    with torch.no_grad():
        first, following = policy(obs, state)
        first = {name: tensor.clone() for name, tensor in first.items()}
        policy(observations(policy, 4, seed=2), {name: tensor.clone() for name, tensor in following.items()})
        again, _ = policy(obs, state)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
    for name, tensor in {**obs, **state}.items():
        assert torch.equal(tensor, kept[name])


@every_case
def test_observations_are_told_apart_by_name(case: Case) -> None:
    """And not by their order in a mapping, in acting and in learning alike."""
    policy = case.build()
    obs, state = observations(policy, 4, seed=1), policy.initial_state(4)
    turned = dict(reversed(obs.items()))
    with torch.no_grad():
        assert torch.equal(policy(obs, state)[0]["action"], policy(turned, state)[0]["action"])
    if isinstance(policy, ChunkPolicy):
        chunk = torch.rand(4, *policy.chunk_shape) * 2.0 - 1.0
        losses = [policy.loss(each, chunk, torch.Generator().manual_seed(2))["loss"] for each in (obs, turned)]
        assert torch.equal(*losses)


@every_case
def test_actions_stay_within_bounds(case: Case) -> None:
    """In [-1, 1] whatever is sensed, however far out."""
    policy = case.build()
    for scale in (0.0, 1.0, 1e3, 1e6):
        obs = {name: scale * tensor for name, tensor in observations(policy, 64, seed=3).items()}
        with torch.no_grad():
            action = policy(obs, policy.initial_state(64))[0]["action"]
        assert torch.isfinite(action).all()
        assert action.abs().max() <= 1.0


@every_case
def test_equal_seeds_give_equal_networks(case: Case) -> None:
    """The seed is the only source of chance, and torch's own stream isn't used."""
    before = torch.random.get_rng_state()
    digest = weights_digest(case.build(seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert weights_digest(case.build(seed=1)) == digest
    assert weights_digest(case.build(seed=2)) != digest
    assert fly(case.build(seed=1)) == fly(case.build(seed=1))


@every_case
def test_the_exported_policy_is_the_policy(case: Case, tmp_path: Path) -> None:
    """One file on stock ONNX Runtime gives torch's outputs to 1e-5 on inputs that it has never seen."""
    policy = case.build()
    path = tmp_path / "policy.onnx"
    contract = export(policy, path, facts=FACTS).contract
    assert contract.parity.max_error <= 1e-5
    assert contract.parity.recurrent_error <= 1e-4
    for batch in (1, 3, 17):
        torch_actor, onnx_actor = TorchActor(policy), OnnxActor(path)
        for step in range(STEPS):
            obs = {k: t.numpy() for k, t in policy.random_obs(batch, torch.Generator().manual_seed(step)).items()}
            wanted, got = torch_actor.act(obs), onnx_actor.act(obs)
            assert got.keys() == wanted.keys()
            for name in wanted:
                np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def flown_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every case saved here, then loaded and flown in one fresh process; digest of its outputs by case."""
    root = tmp_path_factory.mktemp("saved")
    for param in CASES:
        case: Case = param.values[0]

        def fill(folder: Path, case: Case = case) -> None:
            save_weights(case.build(seed=5), folder / "policy.safetensors")
            config = CONFIG | {"policy": dataclasses.asdict(case.config)}
            (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")

        write_folder(root / str(param.id), fill)
    command = [sys.executable, str(Path(__file__).with_name("flight.py")), str(root), str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    flown: dict[str, str] = json.loads(done.stdout)
    return flown


@every_case
def test_a_saved_policy_acts_the_same_to_the_bit(
    case: Case, flown_elsewhere: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """Saved, loaded in a fresh process, flown: the very bytes of the original."""
    name = request.node.callspec.id
    assert flown_elsewhere[name] == fly(case.build(seed=5))
