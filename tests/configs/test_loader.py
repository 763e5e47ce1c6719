"""Strict YAML: what is accepted, what is refused, and that every refusal is a sentence with a dotted path."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Ge
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict

from haltere.configs.errors import ConfigError, HaltereError, RequestError
from haltere.configs.loader import MAX_BYTES, dump, fields_of, parse_yaml, read_yaml, to_yaml, validate

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Noise:
    """A nested part."""

    __pydantic_config__ = STRICT
    sigma: Annotated[float, Ge(0)] = 0.0


@dataclass(frozen=True)
class World:
    """Every kind of field that a configuration has."""

    __pydantic_config__ = STRICT
    drones: Annotated[int, Ge(1)] = 8
    name: str = "forest"
    shape: Literal["random", "swap"] = "random"
    room_m: tuple[float, float] = (10.0, 10.0)
    dark: bool = False
    limit: float | None = None
    noise: Noise = field(default_factory=Noise)
    spare: Noise | None = None
    more: tuple[Noise, ...] = ()


VALID: dict[str, Any] = {
    "drones": 3,
    "name": "room",
    "shape": "swap",
    "room_m": [4.0, 5],
    "dark": True,
    "limit": 1.5,
    "noise": {"sigma": 0.1},
    "spare": {"sigma": 0.2},
    "more": [{"sigma": 0.3}],
}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"drones": -16}, "w.yaml: env.drones: must be at least 1, got -16"),
        ({"drone": 3}, "w.yaml: env.drone: no such key; did you mean 'drones'?"),
        ({"drones": "3"}, "w.yaml: env.drones: must be a whole number, got '3'"),
        ({"drones": True}, "w.yaml: env.drones: must be a whole number, got True"),
        ({"drones": 2.5}, "w.yaml: env.drones: must be a whole number, got 2.5"),
        ({"drones": 2**70}, "w.yaml: env.drones: must be within"),
        ({"limit": float("nan")}, "w.yaml: env.limit: must be a finite number, got nan"),
        ({"limit": float("inf")}, "w.yaml: env.limit: must be a finite number, got inf"),
        ({"limit": "wide"}, "w.yaml: env.limit: must be a number, got 'wide'"),
        ({"shape": "swop"}, "w.yaml: env.shape: must be one of random or swap, got 'swop'; did you mean 'swap'?"),
        ({"dark": "yes"}, "w.yaml: env.dark: must be true or false, got 'yes'"),
        ({"name": 3}, "w.yaml: env.name: must be text, got 3"),
        ({"room_m": 3}, "w.yaml: env.room_m: must be a list, got 3"),
        ({"room_m": [1.0, "x"]}, "w.yaml: env.room_m[1]: must be a number, got 'x'"),
        ({"noise": {"sigma": -1}}, "w.yaml: env.noise.sigma: must be at least 0, got -1"),
        ({"noise": {"sigm": 1}}, "w.yaml: env.noise.sigm: no such key; did you mean 'sigma'?"),
        ({"noise": 3}, "w.yaml: env.noise: must be a mapping of keys to values, got 3"),
        ({"spare": {"sigm": 1}}, "w.yaml: env.spare.sigm: no such key; did you mean 'sigma'?"),
        ({"more": [{"sigma": 1}, {"sigma": -2}]}, "w.yaml: env.more[1].sigma: must be at least 0, got -2"),
    ],
)
def test_a_wrong_value_gets_place_reason_and_value(data: dict[str, Any], sentence: str) -> None:
    """The message names the file, the dotted path, what was wanted and what was got."""
    with pytest.raises(ConfigError) as caught:
        validate(World, data, "w.yaml", "env")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_key_is_named() -> None:
    """A key without a default has to be given."""

    @dataclass(frozen=True)
    class Needy:
        __pydantic_config__ = STRICT
        width: int

    with pytest.raises(ConfigError, match=r"^w.yaml: width: is missing$"):
        validate(Needy, {}, "w.yaml")


def test_a_dataclass_that_refuses_in_words_is_quoted() -> None:
    """A ``ValueError`` of ``__post_init__`` becomes the sentence, at the place of its dataclass."""

    @dataclass(frozen=True)
    class Picky:
        __pydantic_config__ = STRICT
        low: float = 0.0
        high: float = 1.0

        def __post_init__(self) -> None:
            if self.low >= self.high:
                raise ValueError(f"low must be below high, got {self.low} and {self.high}")

    with pytest.raises(ConfigError, match=r"^w.yaml: env: low must be below high, got 3.0 and 1.0$"):
        validate(Picky, {"low": 3}, "w.yaml", "env")


def test_dump_and_validate_are_inverse() -> None:
    """What a run folder stores is what the run had, through YAML text and back."""
    world = validate(World, VALID, "w.yaml")
    assert validate(World, dump(world), "again") == world
    assert validate(World, parse_yaml(to_yaml(world), "again"), "again") == world
    assert world.room_m == (4.0, 5.0)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_a_number_survives_yaml_bit_for_bit(value: float) -> None:
    """A learning rate of 5e-05 is read back as that number and not as text."""
    assert parse_yaml(to_yaml({"x": value}), "t")["x"] == value


@pytest.mark.parametrize(("text", "value"), [("3e8", 3e8), ("1e-4", 1e-4), ("-2.5E+3", -2500.0), ("300_000", 300_000)])
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    """YAML 1.1 reads 1e-4 as text; YAML 1.2, and whoever types it, means a number."""
    assert parse_yaml(f"x: {text}", "t") == {"x": value}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\na: 2\n", "t.yaml: line 2: the key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "t.yaml: line 1: the key 'b' appears twice"),
        ("a: &x {b: 1}\nc: {<<: *x}", "t.yaml: line 2: merge keys"),
        ("a: !!python/object/apply:os.system ['true']", "t.yaml: line 1: could not determine a constructor"),
        ("a: !!timestamp 2001-01-01", "t.yaml: line 1: could not determine a constructor"),
        ("a: !!int x", "t.yaml: not readable as YAML"),
        ("a: !!bool x", "t.yaml: not readable as YAML"),
        ("- 1\n- 2\n", "t.yaml: must be a mapping of keys to values, got list"),
        ("", "t.yaml: must be a mapping of keys to values, got NoneType"),
        ("a: [1, 2", "t.yaml: line 1: expected ',' or ']'"),
        ("1: 2", "t.yaml: every key must be text, got 1"),
        ("a: {[1]: 2}", "t.yaml: line 1: found unhashable key"),
        ("a: &x [*x]", "t.yaml: nested deeper than"),
        ("a: " + "[" * 60 + "]" * 60, "t.yaml: nested deeper than"),
        ("a: " + "[" * 20_000, "t.yaml: nested deeper than"),
        ('a: "\\ud800"', "t.yaml: a: must be valid Unicode"),
        ("a: " + "9" * 5000, "t.yaml: not readable as YAML"),
        ("\x00", "t.yaml: not readable as YAML"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, sentence: str) -> None:
    """Duplicate keys, tags, merge keys and depth are refused in one sentence."""
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "t.yaml")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_aliases_costs_nothing() -> None:
    """Nine lists of nine aliases stand for a billion values; the file is refused by count, not expanded."""
    names = "abcdefghijk"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairwise(names)]
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse_yaml("\n".join(lines), "t.yaml")


def test_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8 and too large are four different sentences."""
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9\n")
    (tmp_path / "huge.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, part in [
        ("none.yaml", "no such file"),
        (".", "must be a file, got a folder"),
        ("latin.yaml", "must be UTF-8 text, got byte 0xe9 at 6"),
        ("huge.yaml", f"must be at most {MAX_BYTES} bytes"),
    ]:
        with pytest.raises(RequestError, match=part):
            read_yaml(tmp_path / name)


def test_fields_of_names_every_setting() -> None:
    """Nested parts, optional ones included, are reachable by their dotted path."""
    assert list(fields_of(World, "env")) == [
        *("env.drones", "env.name", "env.shape", "env.room_m", "env.dark", "env.limit", "env.noise"),
        *("env.noise.sigma", "env.spare", "env.spare.sigma", "env.more"),
    ]


def test_fields_of_reads_postponed_annotations() -> None:
    """A plugin may write ``from __future__ import annotations``."""
    namespace: dict[str, Any] = {"__name__": __name__, "Noise": Noise, "STRICT": STRICT}
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Late:\n    __pydantic_config__ = STRICT\n    noise: Noise | None = None\n"
    )
    exec(compile(source, "late", "exec", dont_inherit=True), namespace)
    globals()["Late"] = namespace["Late"]
    assert list(fields_of(namespace["Late"])) == ["noise", "noise.sigma"]
    with pytest.raises(ConfigError, match="did you mean 'sigma'"):
        validate(namespace["Late"], {"noise": {"sgma": 1}}, "late.yaml")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["swap", "1", "nan", "", "\ud800", "sigma"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:  # noqa: ANN401 -- any plain data
    """A valid configuration with one to three places replaced, renamed or removed."""
    data = yaml.safe_load(yaml.safe_dump(VALID))
    for _ in range(draw(st.integers(1, 3))):
        spot = data
        while isinstance(spot, (dict, list)) and spot:
            key = draw(st.sampled_from(sorted(spot, key=str) if isinstance(spot, dict) else range(len(spot))))
            inner = spot[key]
            if isinstance(inner, (dict, list)) and draw(st.booleans()):
                spot = inner
                continue
            action = draw(st.sampled_from(["replace", "rename", "remove"]))
            value = draw(TREES) if action == "replace" else spot[key]
            if action == "replace":
                spot[key] = value
            elif isinstance(spot, dict):
                del spot[key]
                if action == "rename":
                    spot[draw(st.text(max_size=6))] = value
            break
    return data


def valid_or_refused(data: Any) -> None:  # noqa: ANN401
    """Either an object that validates again to itself, or a ``ConfigError`` of one line; nothing else, ever."""
    try:
        world = validate(World, data, "w.yaml", "env")
    except ConfigError as error:
        assert str(error).startswith("w.yaml: env")
        assert "\n" not in str(error)
    else:
        assert validate(World, dump(world), "again") == world


def test_a_mutated_configuration_is_valid_or_refused_with_a_path() -> None:
    """Several hundred mutants; see ``valid_or_refused``."""
    settings(max_examples=400, deadline=None)(given(mutated())(valid_or_refused))()


@pytest.mark.slow
def test_ten_thousand_mutated_configurations_are_valid_or_refused() -> None:
    """The same with the number that is promised."""
    settings(max_examples=10_000, deadline=None)(given(mutated())(valid_or_refused))()


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")), st.integers(0, 400))
@settings(max_examples=400, deadline=None)
def test_mutated_text_is_read_or_refused(noise: str, position: int) -> None:
    """Noise anywhere in the text of a file ends in plain data or in one of our errors."""
    text = yaml.safe_dump(VALID)
    text = text[:position] + noise + text[position:]
    try:
        validate(World, parse_yaml(text, "w.yaml"), "w.yaml")
    except HaltereError as error:
        assert str(error).startswith("w.yaml:")
