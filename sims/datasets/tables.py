"""Between numpy arrays and parquet columns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from haltere.sims.datasets.layout import BOOKKEEPING, Feature

INTEGERS = tuple(key for key, kind in BOOKKEEPING.items() if kind == "int64")


class BadRowError(ValueError):
    """A row of a column isn't what was declared.

    Attributes:
        row: the first of them.
    """

    def __init__(self, row: int, message: str) -> None:
        """Name the row."""
        super().__init__(message)
        self.row = row


def data_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Columns of the data files: a number, a list of fixed length, or nested lists."""
    return pa.schema([(key, _arrow_type(feature)) for key, feature in features.items() if feature.numeric])


def _arrow_type(feature: Feature) -> pa.DataType:
    kind = pa.from_numpy_dtype(np.dtype(feature.dtype))
    if feature.shape == (1,):
        return kind
    if len(feature.shape) == 1:
        return pa.list_(kind, feature.shape[0])
    for _ in feature.shape:
        kind = pa.list_(kind)
    return kind


def to_column(values: NDArray[Any], feature: Feature) -> pa.Array:
    """(frames, ...) as a column of ``data_schema``'s type."""
    flat = pa.array(np.ascontiguousarray(values.reshape(-1), dtype=feature.dtype))
    if feature.shape == (1,):
        return flat
    if len(feature.shape) == 1:
        return pa.FixedSizeListArray.from_arrays(flat, feature.shape[0])
    for size in reversed(feature.shape):
        flat = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, size), pa.int32()), flat)
    return flat


def to_array(column: pa.ChunkedArray, feature: Feature, name: str) -> NDArray[Any]:
    """A column as numbers.

    Args:
        column: of a data file, whichever kind of list it holds.
        feature: what was declared.
        name: of the feature.

    Returns:
        (frames, ...) float32; (frames,) int64 for the bookkeeping's whole numbers, (frames,) float64 for the time.

    Raises:
        BadRowError: a row has another shape, isn't a number or has no value.
    """
    array = column.combine_chunks()
    # One number a frame is stored as such, or as a list of one.
    scalar = feature.shape == (1,) and not _is_list(array.type)
    sizes = () if scalar else feature.shape
    rows = len(array)
    for depth, size in enumerate(sizes):
        inside = int(np.prod(sizes[:depth]))
        if array.null_count:
            raise BadRowError(_first(array.is_null()) // inside, "has no value")
        if not _is_list(array.type):
            raise BadRowError(0, f"has shape {list(sizes[:depth])}, declared {list(feature.shape)}")
        lengths = array.value_lengths().to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != size)
        if len(wrong):
            got = [*sizes[:depth], int(lengths[wrong[0]]), *sizes[depth + 1 :]]
            raise BadRowError(int(wrong[0]) // inside, f"has shape {got}, declared {list(feature.shape)}")
        array = array.flatten()
    if array.null_count:
        raise BadRowError(_first(array.is_null()) // max(1, int(np.prod(sizes))), "has no value")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise BadRowError(0, f"is {array.type}, and not a number of shape {list(feature.shape)}")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    if name in BOOKKEEPING:
        return values.reshape(rows).astype(np.int64 if name in INTEGERS else np.float64, copy=False)
    return values.reshape(rows, *feature.shape).astype(np.float32, copy=False)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _first(mask: pa.Array) -> int:
    return int(np.flatnonzero(mask.to_numpy(zero_copy_only=False))[0])


def tasks_table(sentences: Sequence[str]) -> pa.Table:
    """``meta/tasks.parquet``: a pandas frame with the sentences as its index, written without pandas."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}
        for name, (kind, dtype) in kinds.items()
    ]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": described,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    columns = {"task_index": pa.array(range(len(sentences)), pa.int64()), "task": pa.array(sentences, pa.string())}
    return pa.table(columns).replace_schema_metadata({"pandas": json.dumps(pandas)})


def task_sentences(table: pa.Table) -> list[str]:
    """Sentences by their number, from a ``meta/tasks.parquet`` of anybody's.

    Raises:
        ValueError: it has no numbers, or no sentences.
    """
    words = [field.name for field in table.schema if pa.types.is_string(field.type) or _large(field.type)]
    if "task_index" not in table.column_names or not words:
        raise ValueError(f"needs a column task_index and one of sentences, got {table.column_names}")
    sentences = table["task" if "task" in words else words[0]].to_pylist()
    numbers = table["task_index"].to_pylist()
    if sorted(numbers) != list(range(len(numbers))):
        raise ValueError("task_index must count from 0")
    return [sentence for _, sentence in sorted(zip(numbers, sentences, strict=True))]


def _large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind))
