"""The variants of one policy, built and measured: what is loaded, how large, how fast, and how far from torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from haltere.configs.errors import HaltereError, RequestError
from haltere.deploy.bench import ort_rows
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.measure import INPUTS, Samples
from haltere.deploy.bench.report import Timing
from haltere.deploy.contract import Contract, Parity
from haltere.deploy.kernels.library import operators
from haltere.deploy.kernels.op import Op
from haltere.deploy.onnx_file import DOMAIN, read_sealed, seal
from haltere.deploy.parity import BATCHES, Arrays, difference, measure, one_thread, torch_model
from haltere.deploy.parity import INPUTS as PARITY_INPUTS
from haltere.deploy.proof import onnx_model
from haltere.deploy.quantise.int8 import quantised, weight_bytes
from haltere.deploy.quantise.recording import count, cut
from haltere.deploy.quantise.report import Variant
from haltere.deploy.rings import contract_for
from haltere.deploy.runtime.files import INT8_NAME, MODEL_NAME
from haltere.deploy.runtime.session import open_session
from haltere.deploy.runtimes import Precision, Runtime
from haltere.policies.base import Policy

CALIBRATED_SHARE = 0.75
"""Of the recorded steps; errors are measured on the others."""


@dataclass(frozen=True)
class Record:
    """Recorded steps, parted.

    Attributes:
        ranges: what is calibrated on, (rows, ...).
        others: what errors and latencies are measured on, (rows, ...).
    """

    ranges: Arrays
    others: Arrays

    @staticmethod
    def of(rows: Arrays) -> "Record":
        """Three quarters of the rows, and the last one.

        Raises:
            RequestError: there are too few.
        """
        total = count(rows)
        if total < 4:
            raise RequestError(f"recorded {total} steps, which are too few to quantise with")
        cut_at = round(CALIBRATED_SHARE * total)
        return Record(cut(rows, 0, cut_at), cut(rows, cut_at, total))


class Bench:
    """A policy's float32 export beside which variants are built.

    Attributes:
        matrices: of the 8-bit file, once it is made: how many are in 8 bits, and how many there are.
        skipped: why a variant couldn't be built, by its name.
    """

    def __init__(self, policy: Policy[Any], folder: Path, record: Record) -> None:
        """Read ``policy.onnx`` from the folder."""
        self._policy, self._folder, self._record = policy, folder, record
        self._data, self._contract = read_sealed(folder / MODEL_NAME)
        lanes = [cut(record.others, i % count(record.others), i % count(record.others) + 1) for i in range(INPUTS)]
        self._setup = Setup(policy, self._data, self._contract, lanes)
        self._built: dict[tuple[Runtime, Precision], tuple[Contender, Path, int]] = {}
        self.matrices: tuple[int, int] | None = None
        self.skipped: dict[str, str] = {}

    def add(self, runtime: Runtime, precision: Precision) -> None:
        """Build a variant, or note why it can't be."""
        try:
            build = self._stock if runtime == "onnx" else self._fused
            self._built[runtime, precision] = build(precision)
        except (RequestError, Unavailable) as error:
            self.skipped[f"{runtime} {precision}"] = str(error)

    def check_has(self, precision: Precision) -> None:
        """See that a precision that was asked for has a variant.

        Raises:
            RequestError: it has none; with the reason of each.
        """
        if all(built != precision for _, built in self._built):
            reasons = [f"{name}: {why}" for name, why in self.skipped.items() if name.endswith(precision)]
            raise RequestError(f"--{precision}: {'; '.join(reasons)}")

    def measured(self, calls: int) -> list[Variant]:
        """Size, latency and error of what was built; all are timed side by side.

        Args:
            calls: timed calls of each.
        """
        timings = self._timings(calls)
        with one_thread():
            wanted = torch_model(self._policy)(self._record.others)
        return [
            Variant(
                runtime=runtime,
                precision=precision,
                file=path.name,
                file_bytes=path.stat().st_size,
                weight_bytes=weights,
                median_us=timings[runtime, precision].median_us,
                p99_us=timings[runtime, precision].p99_us,
                error=difference(wanted, self._outputs(path, runtime, precision)),
            )
            for (runtime, precision), (_, path, weights) in self._built.items()
        ]

    def _stock(self, precision: Precision) -> tuple[Contender, Path, int]:
        path = self._folder / MODEL_NAME
        if precision == "fp32":
            return ort_rows.from_c(self._setup, self._data), path, weight_bytes(onnx.load(path))
        made = quantised(self._data, self._record.ranges)
        self.matrices = (made.matrices, made.of)
        path = self._folder / INT8_NAME
        path.write_bytes(seal(made.model, _contract(self._policy, made.model, self._contract)))
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load_model_from_string(made.model)
        return ort_rows.from_c(self._setup, made.model), path, weight_bytes(model)

    def _fused(self, precision: Precision) -> tuple[Contender, Path, int]:
        contender = ort_rows.with_kernels(self._setup, precision)
        return contender, self._folder / MODEL_NAME, kernel_bytes(onnx.load_model_from_string(self._data), precision)

    def _timings(self, calls: int) -> Mapping[tuple[Runtime, Precision], Timing]:
        names = {f"{runtime} {precision}": (runtime, precision) for runtime, precision in self._built}
        samples = Samples({name: self._built[key][0] for name, key in names.items()}, calls)
        samples.take(None)
        return {key: samples.timing(name, None, None, 0.0) for name, key in names.items()}

    def _outputs(self, path: Path, runtime: Runtime, precision: Precision) -> Arrays:
        session = open_session(path.read_bytes(), fused=runtime == "fused", precision=precision)
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, self._record.others), strict=True))


def kernel_bytes(model: onnx.ModelProto, precision: Precision) -> int:
    """Bytes of the constants that a graph reads where our kernels run: packed, and those of other operators."""
    weights = {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    packed, done = 0, set[str]()
    for node in model.graph.node:
        if node.domain != DOMAIN or node.op_type not in operators():
            continue
        given = [name for name in node.input if name in weights]  # one that serves twice comes twice
        attributes = {each.name: each.i for each in node.attribute}
        packed += Op(node.op_type, [weights[name] for name in given], precision, **attributes).bytes
        done.update(given)
    return packed + sum(array.nbytes for name, array in weights.items() if name not in done)


def _contract(policy: Policy[Any], model: bytes, contract: Contract) -> Contract:
    """The contract of a quantised copy: its own error on random inputs, which is also all that is allowed."""
    with one_thread():
        found = measure(policy, onnx_model(model))
    if not np.isfinite([found.max_error, found.recurrent_error]).all():
        raise HaltereError("the policy in 8 bits gives numbers that aren't finite, or other outputs than its network")
    parity = Parity(
        tolerance=found.max_error,
        max_error=found.max_error,
        inputs=PARITY_INPUTS,
        batches=BATCHES,
        recurrent_steps=found.recurrent_steps,
        recurrent_error=found.recurrent_error,
    )
    return dataclasses.replace(contract_for(contract, model), parity=parity)
