"""The contract reads back as written, and refuses everything else with one clear sentence."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haltere.deploy.contract import Chunking, Contract, Parity, StateTensor, Tensor
from haltere.deploy.errors import ContractError

CONTRACT = Contract(
    format=1,
    haltere="0.1.0",
    task="haltere/SwarmForest-v0",
    policy="swarm",
    ctrl_dt_s=0.01,
    inputs=(Tensor("obs.self", (19,), unit="m, world frame"), Tensor("obs.neighbour", (2, 6))),
    outputs=(Tensor("action", (2,), unit="thrust fraction"), Tensor("aux.attention", (2,))),
    state=(StateTensor("state.memory", (4, 8)), StateTensor("state.count", (), "int64", initial=3.0)),
    action_low=(-1.0, 0.0),
    action_high=(1.0, 0.5),
    weights="ab" * 32,
    parity=Parity(1e-5, 2e-7, 1000, (1, 3, 17), 500, 3e-6),
)


def edited(path: str, value: object) -> str:
    """The contract's JSON with the value at a dotted path replaced; ``...`` deletes it."""
    data = json.loads(CONTRACT.to_json())
    *parents, last = path.split(".")
    place: Any = data
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    key = int(last) if last.isdigit() else last
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return json.dumps(data)


def test_a_contract_survives_its_json() -> None:
    """Written and read, it is equal to itself, tuples, floats and all."""
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT


def test_a_contract_may_carry_a_safe_action() -> None:
    """It survives the file; in a file from before there was one, none is stated."""
    safe = replace(CONTRACT, safe_action=(0.0, 0.5))
    assert Contract.from_json(safe.to_json()).safe_action == (0.0, 0.5)
    assert Contract.from_json(edited("safe_action", ...)) == CONTRACT


def test_equal_contracts_give_equal_text() -> None:
    """The text enters a digest, so it can't depend on the order in which the keys were given."""
    shuffled = json.dumps(dict(reversed(json.loads(CONTRACT.to_json()).items())))
    assert Contract.from_json(shuffled).to_json() == CONTRACT.to_json()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "format must be 1, got 2"),
        ("format", True, "contract.format: must be int, got True"),
        ("task", ..., "key 'task' is missing"),
        ("taks", "x", "no key named 'taks'; did you mean 'task'?"),
        ("ctrl_dt_s", 0, "ctrl_dt_s must be in (0, 60] s"),
        ("ctrl_dt_s", "0.01", "contract.ctrl_dt_s: must be float, got '0.01'"),
        ("ctrl_dt_s", 10**400, "contract.ctrl_dt_s: must be finite"),
        ("inputs", [], "inputs are empty"),
        ("inputs", {}, "contract.inputs: must be a list"),
        ("inputs.0", 7, "contract.inputs[0]: must be an object, got 7"),
        ("inputs.0.name", "self", "inputs must be named obs.<key>"),
        ("inputs.0.name", "obs.neighbour", "a tensor is named twice"),
        ("inputs.0.name", "obs./etc/passwd", "isn't a tensor name"),
        ("inputs.0.shape", [-1], "obs.self: shape (-1,) isn't possible"),
        ("inputs.0.shape", [1 << 40], "isn't possible"),
        ("inputs.0.shape", [19.0], "contract.inputs[0].shape[0]: must be int"),
        ("inputs.0.dtype", "float16", "dtype must be one of"),
        ("inputs.0.dtype", "int64", "observations must be float32"),
        ("outputs.0.name", "aux.action", "the first output must be 'action'"),
        ("outputs.0.shape", [2, 1], "action must be a float32 vector"),
        ("outputs.1.name", "attention", "must be named aux.<key>"),
        ("state.0.name", "obs.memory", "must be named state.<key>"),
        ("action_low", [-1.0], "other numbers of bounds"),
        ("safe_action", [0.0], "safe_action must have 2 components or none"),
        ("safe_action", [0.0, 0.75], "safe_action is out of bounds"),
        ("safe_action", [0.0, "off"], "contract.safe_action[1]: must be float"),
        ("action_low.0", 1.0, "each action_low must be below its action_high"),
        ("weights", "ab", "weights must be a SHA-256"),
        ("parity.inputs", None, "contract.parity.inputs: must be int, got None"),
        ("normaliser", {}, "contract.normaliser: must be null"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: object, message: str) -> None:
    """What is wrong, where, and what was got."""
    with pytest.raises(ContractError) as caught:
        Contract.from_json(edited(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "NaN", '{"format": NaN}', "[" * 100_000, '{"format": 1, "format": 1}', " " * (1 << 21)],
)
def test_what_is_no_contract_is_refused(text: str) -> None:
    """No JSON, other JSON, or JSON that no strict reader takes."""
    with pytest.raises(ContractError):
        Contract.from_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=20,
)


@given(key=st.sampled_from(sorted(json.loads(CONTRACT.to_json()))), value=JSON)
def test_any_json_in_any_key_is_read_or_refused(key: str, value: object) -> None:
    """A ContractError or a contract that says the same again; never another exception."""
    try:
        contract = Contract.from_json(edited(key, value))
    except ContractError:
        return
    assert Contract.from_json(contract.to_json()) == contract


def test_a_contract_may_say_where_the_past_lies() -> None:
    """It survives the file; in a file from before it could be said, there is nothing to say."""
    reading = replace(CONTRACT, outputs=(*CONTRACT.outputs, Tensor("aux.read", (40,))), read_steps=16, read_after=1)
    assert Contract.from_json(reading.to_json()) == reading
    for key in ("read_steps", "read_after"):
        assert Contract.from_json(edited(key, ...)) == CONTRACT
    for changes in ({"read_steps": -1}, {"read_after": -1}, {"outputs": CONTRACT.outputs}):
        with pytest.raises(ContractError, match="read_steps"):
            replace(reading, **changes)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=r"read_steps is for an output 'aux.read', a float32 vector"):
        replace(reading, outputs=(*CONTRACT.outputs, Tensor("aux.read", (4, 10))))


def test_the_state_has_a_size() -> None:
    """Of one lane: 4 x 8 of four bytes, and one of eight."""
    assert CONTRACT.state_bytes == 4 * 8 * 4 + 8


PLANNER = replace(
    CONTRACT,
    inputs=(Tensor("obs.self", (2, 19), unit="m"), Tensor("obs.noise", (1, 8, 2))),
    outputs=(Tensor("action", (2,)), Tensor("aux.chunk", (8, 2)), Tensor("aux.gradient", (1,))),
    chunking=Chunking(2, 8, 4, 10, 1, 0.01),
)


def test_a_planner_senses_one_step_at_a_time() -> None:
    """A robot gives a step's observation; history and noise are the runtime's. Older files plan nothing."""
    assert Contract.from_json(PLANNER.to_json()) == PLANNER
    assert PLANNER.sensed == (Tensor("obs.self", (19,), unit="m"),)
    assert CONTRACT.sensed == CONTRACT.inputs
    assert Contract.from_json(edited("chunking", ...)) == CONTRACT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunking": (2, 8, 9, 10, 1)}, "isn't possible"),
        ({"chunking": (2, 8, 0, 10, 1)}, "isn't possible"),
        ({"chunking": (2, 8, 4, 0, 1)}, "isn't possible"),
        ({"chunking": (2, 8, 4, 10, 3)}, "isn't possible"),
        ({"chunking": (-2, 8, 4, 10, 1)}, "isn't possible"),
        ({"chunking": (0, 8, 4, 10, 1)}, "has no observed steps"),
        ({"chunking": (2, 7, 4, 10, 1)}, "must have an output 'aux.chunk', (7, 2) float32"),
        ({"chunking": (2, 8, 4, 10, 2)}, "'obs.noise' must have the shapes [(2, 8, 2)], got [(1, 8, 2)]"),
        ({"chunking": (2, 8, 4, 10, 0)}, "'obs.noise' must have the shapes [], got"),
        ({"chunking": (3, 8, 4, 10, 1)}, "observations must begin with the 3 steps"),
        ({"outputs": (Tensor("action", (2,)),)}, "must have an output 'aux.chunk'"),
        ({"outputs": PLANNER.outputs[:2]}, "'settled' is for an output 'aux.gradient'"),
    ],
)
def test_a_planner_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    """Also where each number by itself would do."""
    with pytest.raises(ContractError, match=re.escape(message)):
        kept = {name: Chunking(*value) if name == "chunking" else value for name, value in changes.items()}
        replace(PLANNER, **kept)
