"""The contract of an exported policy: what goes in, what comes out, in which units, how fast, and how it was proven.

It travels as JSON in the model file's own metadata, so that a runtime needs nothing but the file. Standard library
only: the robot reads it without torch, pydantic or onnx.
"""

import json
import math
import re
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from haltere.deploy.errors import ContractError

FORMAT = 1
METADATA_KEY = "haltere.contract"
ACTION = "action"
CHUNK = "aux.chunk"
"""The output that is a chunk of commands."""
GRADIENT = "aux.gradient"
"""The output that says how steep what a policy goes down still is."""
NOISE = "obs.noise"
"""The input that a runtime draws."""
READ = "aux.read"
"""The output that says what of its memory a policy attends to."""
_BYTES = {"float32": 4, "int64": 8, "bool": 1}
DTYPES = tuple(_BYTES)
MAX_ELEMENTS = 1 << 24
"""Largest tensor of one lane: 64 MiB of float32. A contract that asks for more is damaged or hostile."""
MAX_JSON_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}(\.[A-Za-z0-9_]{1,64})?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
LATER = {"later": True}
"""Marks a field that the first files of this format didn't have: where it is missing, its default is meant."""
ClassT = TypeVar("ClassT")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ContractError(message)


@dataclass(frozen=True)
class Tensor:
    """One named array of the model; the leading batch axis is understood.

    Attributes:
        name: ``obs.<key>``, ``action`` or ``aux.<key>``.
        shape: of one lane.
        dtype: ``float32``, ``int64`` or ``bool``.
        unit: unit and frame in words, as the task states them; empty where it states none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse what no exporter writes."""
        _require(_NAME.fullmatch(self.name) is not None, f"contract: {self.name!r} isn't a tensor name")
        _require(self.dtype in DTYPES, f"contract: {self.name}: dtype must be one of {DTYPES}, got {self.dtype!r}")
        fits = all(dim >= 1 for dim in self.shape) and math.prod(self.shape) <= MAX_ELEMENTS
        _require(fits and len(self.shape) <= 8, f"contract: {self.name}: shape {self.shape} isn't possible")


@dataclass(frozen=True)
class StateTensor:
    """One array that the model hands to its own next step; input and output share shape and type.

    ONNX lets no output have an input's name: ``state.<key>`` goes in, ``state_out.<key>`` comes out.

    Attributes:
        name: ``state.<key>``.
        shape: of one lane.
        dtype: as for ``Tensor``.
        initial: value of every element before the first step.
        ring: a step writes one row of it before it reads any other, so input and output may be one piece of memory.
            Made again from the other states, the step writes the same row again.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    initial: float = 0.0
    ring: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse what no exporter writes."""
        Tensor(self.name, self.shape, self.dtype)
        _require(self.name.startswith("state."), f"contract: state {self.name!r} must be named state.<key>")

    @property
    def out_name(self) -> str:
        """Name of the next state among the model's outputs."""
        return f"state_out.{self.name.removeprefix('state.')}"


@dataclass(frozen=True)
class Parity:
    """How far the model was measured to be from the trained network, before the file was kept.

    Attributes:
        tolerance: largest error that was allowed.
        max_error: largest measured |model - torch| / max(1, |torch|) over all outputs.
        inputs: random inputs at each batch size.
        batches: batch sizes.
        recurrent_steps: steps of the recurrent comparison; 0 for a stateless policy.
        recurrent_error: largest error over those steps, each runtime feeding on its own state.
        ties: steps of single lanes that aren't in the errors, because the network chose between things too close to
            call in float32, and the model chose otherwise; see ``haltere.deploy.ties``.
    """

    tolerance: float
    max_error: float
    inputs: int
    batches: tuple[int, ...]
    recurrent_steps: int = 0
    recurrent_error: float = 0.0
    ties: int = field(default=0, metadata=LATER)


@dataclass(frozen=True)
class Chunking:
    """The loop around a model that plans a chunk of commands, of which a call is one refinement.

    Attributes:
        observed: steps that a call sees of each observation, the present one last; 0 where a call is a control step.
        horizon: commands of a chunk, the first one for now.
        executed: of those, how many are carried out before a new chunk is planned.
        refinements: calls that a chunk takes; before the first one the state is the initial one.
        draws: chunks of standard normal numbers that a call takes as ``obs.noise``: none, one that a chunk begins with,
            or a second one as well, drawn anew for each refinement, which adds it.
        settled: a chunk isn't refined further once the output ``aux.gradient`` is below this; 0 for never.
    """

    observed: int = 0
    horizon: int = 0
    executed: int = 0
    refinements: int = 0
    draws: int = 0
    settled: float = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse what no exporter writes."""
        if self.observed:
            fits = 1 <= self.executed <= self.horizon and self.refinements >= 1 and 0 <= self.draws <= 2
            _require(fits and self.observed > 0 and self.settled >= 0.0, f"contract: {self} isn't possible")
        else:
            none = self.horizon == self.executed == self.refinements == self.draws == self.settled == 0
            _require(none, f"contract: {self} has no observed steps, so everything else of it must be 0")


@dataclass(frozen=True)
class Contract:
    """Everything a runtime must know about a model file.

    Attributes:
        format: version of this layout.
        haltere: version that exported the file.
        task: Gymnasium id of the task that it was trained for.
        policy: type of the network.
        ctrl_dt_s: control period [s].
        inputs: the observations, ``obs.<key>``, in the order of the model's inputs.
        outputs: ``action`` first, then ``aux.<key>``.
        state: what is fed back; empty for a stateless policy.
        action_low: lower bound of each action component.
        action_high: upper bound of each action component.
        weights: SHA-256 of the trained weights, the same as of the policy in torch.
        parity: as measured at export.
        normaliser: mean and scale of observations; None where the network takes them as they are.
        safe_action: what to command where nothing better is known, one number for each action component, as the task
            states it; empty where it states none, and ``action_low`` is then the best guess.
        read_steps: step n of an episode, from 0, lies in place (n // ``read_steps``) modulo R of what ``aux.read`` (R)
            gives the share of attention on; 0 where there is no such output.
        read_after: a place can be read so many steps after the last one that it takes up.
        chunking: the loop around the model, where it plans a chunk of commands at a time.
    """

    format: int
    haltere: str
    task: str
    policy: str
    ctrl_dt_s: float
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[StateTensor, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    weights: str
    parity: Parity
    normaliser: None = None
    safe_action: tuple[float, ...] = field(default=(), metadata=LATER)
    read_steps: int = field(default=0, metadata=LATER)
    read_after: int = field(default=0, metadata=LATER)
    chunking: Chunking = field(default=Chunking(), metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse a contract that contradicts itself."""
        _require(self.format == FORMAT, f"contract: format must be {FORMAT}, got {self.format}")
        _require(0.0 < self.ctrl_dt_s <= 60.0, f"contract: ctrl_dt_s must be in (0, 60] s, got {self.ctrl_dt_s}")
        _require(_DIGEST.fullmatch(self.weights) is not None, "contract: weights must be a SHA-256 in hexadecimal")
        _require(bool(self.inputs), "contract: inputs are empty")
        _require(all(t.name.startswith("obs.") for t in self.inputs), "contract: inputs must be named obs.<key>")
        _require(all(t.dtype == "float32" for t in self.inputs), "contract: observations must be float32")
        _require(bool(self.outputs) and self.outputs[0].name == ACTION, "contract: the first output must be 'action'")
        aux = all(t.name.startswith("aux.") for t in self.outputs[1:])
        _require(aux, "contract: outputs after 'action' must be named aux.<key>")
        tensors: list[Tensor | StateTensor] = [*self.inputs, *self.outputs, *self.state]
        names = [tensor.name for tensor in tensors]
        _require(len(set(names)) == len(names), "contract: a tensor is named twice")
        self._check_action()
        read = next((tensor for tensor in self.outputs if tensor.name == READ), None)
        places = read is not None and read.dtype == "float32" and len(read.shape) == 1
        _require(min(self.read_steps, self.read_after) >= 0, "contract: read_steps and read_after must be at least 0")
        _require(places or not self.read_steps, f"contract: read_steps is for an output '{READ}', a float32 vector")
        self._check_chunking()

    @property
    def sensed(self) -> tuple[Tensor, ...]:
        """What a robot gives in each control step: the inputs, where a call isn't one of several for several steps."""
        if not self.chunking.observed:
            return self.inputs
        seen = (tensor for tensor in self.inputs if tensor.name != NOISE)
        return tuple(replace(tensor, shape=tensor.shape[1:]) for tensor in seen)

    @property
    def state_bytes(self) -> int:
        """Size of one lane's state: what is remembered between two steps."""
        return sum(math.prod(tensor.shape) * _BYTES[tensor.dtype] for tensor in self.state)

    def _check_chunking(self) -> None:
        chunking = self.chunking
        if not chunking.observed:
            return
        chunk = (chunking.horizon, self.outputs[0].shape[0])
        planned = any((t.name, t.shape, t.dtype) == (CHUNK, chunk, "float32") for t in self.outputs)
        _require(planned, f"contract: a model that plans chunks must have an output '{CHUNK}', {chunk} float32")
        sloped = any((t.name, t.shape, t.dtype) == (GRADIENT, (1,), "float32") for t in self.outputs)
        _require(sloped or not chunking.settled, f"contract: 'settled' is for an output '{GRADIENT}', (1,) float32")
        noise = [tensor.shape for tensor in self.inputs if tensor.name == NOISE]
        wanted = [(chunking.draws, *chunk)] if chunking.draws else []
        _require(noise == wanted, f"contract: '{NOISE}' must have the shapes {wanted}, got {noise}")
        seen = all(t.shape[:1] == (chunking.observed,) for t in self.inputs if t.name != NOISE)
        _require(seen, f"contract: observations must begin with the {chunking.observed} steps that are seen")

    def _check_action(self) -> None:
        action = self.outputs[0]
        size = action.shape[0] if len(action.shape) == 1 else 0
        _require(size > 0 and action.dtype == "float32", "contract: action must be a float32 vector")
        bounded = len(self.action_low) == len(self.action_high) == size
        _require(bounded, f"contract: action has {size} components but other numbers of bounds")
        ordered = all(low < high for low, high in zip(self.action_low, self.action_high, strict=True))
        _require(ordered, "contract: each action_low must be below its action_high")
        if self.safe_action:
            _require(len(self.safe_action) == size, f"contract: safe_action must have {size} components or none")
            rows = zip(self.action_low, self.safe_action, self.action_high, strict=True)
            _require(all(low <= safe <= high for low, safe, high in rows), "contract: safe_action is out of bounds")

    def to_json(self) -> str:
        """One line of JSON; equal contracts give equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "Contract":
        """Read strictly.

        Raises:
            ContractError: not JSON, a key unknown, missing or given twice, a value of another type or impossible.
        """
        _require(len(text) <= MAX_JSON_BYTES, f"contract: {len(text)} bytes is too long to be one")
        try:
            data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ContractError(f"contract: not JSON: {error}") from error
        return _read(Contract, data, "contract")


def _refuse_constant(name: str) -> float:
    raise ContractError(f"contract: {name} isn't a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    _require(len(data) == len(pairs), "contract: a key is given twice")
    return data


def _read(cls: type[ClassT], data: object, where: str) -> ClassT:
    """Build the dataclass ``cls`` from decoded JSON, every key known, every type exact."""
    if not isinstance(data, dict):
        raise ContractError(f"{where}: must be an object, got {_brief(data)}")
    hints = typing.get_type_hints(cls)
    own = {each.name: each for each in fields(cast(Any, cls))}
    known = list(own)
    for key in data:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            suggestion = f"; did you mean '{near[0]}'?" if near else f" (valid: {', '.join(known)})"
            raise ContractError(f"{where}: no key named {_brief(key)}{suggestion}")
    for key in known:
        _require(key in data or own[key].metadata == LATER, f"{where}: key '{key}' is missing")
    return cls(**{key: _value(hints[key], data[key], f"{where}.{key}") for key in known if key in data})


def _value(kind: Any, data: object, where: str) -> Any:  # noqa: ANN401 (the type is the argument)
    if is_dataclass(kind):
        return _read(cast(type, kind), data, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(data, list):
            raise ContractError(f"{where}: must be a list, got {_brief(data)}")
        item = typing.get_args(kind)[0]
        return tuple(_value(item, each, f"{where}[{index}]") for index, each in enumerate(data))
    if kind is float and type(data) in (int, float):
        try:
            number = float(cast(float, data))
        except OverflowError:
            number = math.inf
        _require(math.isfinite(number), f"{where}: must be finite")
        return number
    word = "null" if kind is type(None) else kind.__name__
    _require(type(data) is kind, f"{where}: must be {word}, got {_brief(data)}")
    return data


def _brief(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
