"""Structures come back as they went, and whatever else comes is refused in one sentence."""

import dataclasses
import enum
from typing import Any, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.codec import Int32, Raw, WireError, pack, reader, unpack

STRUCTURES = [kind for kind in vars(structs).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(-3.4e38, 3.4e38),
    int: st.integers(0, 2**32 - 1),
    Int32: st.integers(-(2**31), 2**31 - 1),
    Raw: st.lists(st.integers(0, 9), max_size=3),
    bool: st.booleans(),
    str: st.text(max_size=8),
    bytes: st.binary(max_size=8),
}


def of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 -- any type
    """Any value of a type that a message can hold."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    if dataclasses.is_dataclass(kind):
        return st.builds(kind, **{name: of(inner) for name, inner in get_type_hints(kind).items()})
    inner = get_args(kind)[0]
    return st.lists(of(inner), max_size=3).map(tuple) if get_origin(kind) is tuple else st.none() | of(inner)


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_structure_comes_back(kind: type, data: st.DataObject) -> None:
    """Through msgpack's bytes; an optional with and without a value."""
    value = data.draw(of(kind))
    sent = msgpack.packb(pack(value), use_bin_type=True)
    assert unpack(kind, msgpack.unpackb(sent, raw=False)) == value


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.__name__)
@given(data=ANYTHING)
def test_whatever_else_comes_is_refused(kind: type, data: Any) -> None:  # noqa: ANN401 -- whatever comes
    """Or happens to be one; never another exception."""
    try:
        value = unpack(kind, data)
    except WireError as error:
        assert str(error).startswith("message") and len(str(error)) < 1000
    else:
        assert isinstance(value, kind)


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        (structs.Vector, [1.0, 2.0], r"^message: must be Vector \(x, y, z\), got \[1\.0, 2\.0\]$"),
        (
            structs.Transform,
            [[0, 0, 0], [0, "east", 0]],
            r"^message\.rotation\.yaw: must be a number that four bytes hold",
        ),
        (structs.Vector, [0, 0, float("nan")], r"^message\.z: must be a number that four bytes hold, got nan$"),
        (structs.Vector, [0, 0, True], r"^message\.z: must be a number that four bytes hold, got True$"),
        (structs.Description, [1, "a", [["b", 9, "c"]]], r"^message\.attributes\[0\]\.kind: must be one of 1 \(bool"),
        (structs.Token, ["text"], r"^message\.data: must be bytes, got 'text'$"),
        (int | None, [True], r"^message: must be \[false\] or \[true, value\], got \[True\]$"),
        (tuple[int, ...], 3, r"^message: must be a list, got 3$"),
        (int, 2**32, r"^message: must be a whole number of 32 bits, got 4294967296$"),
        (int, -1, r"^message: must be a whole number of 32 bits, got -1$"),
        (
            structs.VehicleControl,
            [0, 0, 0, False, False, False, 2**40],
            r"^message\.gear: must be a whole number of 32",
        ),
        (
            structs.VehicleControl,
            [1e300, 0, 0, False, False, False, 0],
            r"^message\.throttle: must be a number that four",
        ),
    ],
)
def test_a_refusal_says_where_and_what(kind: Any, data: Any, sentence: str) -> None:  # noqa: ANN401 -- any
    """The place, what was wanted, what was got."""
    with pytest.raises(WireError, match=sentence):
        unpack(kind, data)


def test_a_type_that_no_message_has_is_a_bug() -> None:
    """Found when a server is built, and not when a client calls."""
    for kind in (dict, list[int], complex, int | str):
        with pytest.raises(TypeError, match="can't stand in a message"):
            reader(kind)


def test_members_of_enumerations_go_as_numbers() -> None:
    """As the client has them."""
    assert pack(structs.AttributeType.COLOR) == 5 and not isinstance(pack(structs.AttributeType.COLOR), enum.Enum)
