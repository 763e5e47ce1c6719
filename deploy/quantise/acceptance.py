"""Fewer bits are accepted where the policy flies as well as before: its success interval overlaps that of float32."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from haltere.configs.errors import RequestError
from haltere.deploy.bench import process
from haltere.deploy.machine import cpu_name
from haltere.deploy.parity import Arrays
from haltere.deploy.quantise.recording import SEEDS, count
from haltere.deploy.quantise.report import QuantReport, Variant
from haltere.deploy.quantise.variants import Bench, Record
from haltere.deploy.runtime.files import QUANTISED_NAME
from haltere.deploy.runtimes import Precision, Runtime
from haltere.policies.base import Policy
from haltere.sims.evaluate import EvalReport
from haltere.sims.statistics import Interval, bootstrap_mean, wilson

CALLS = 2000
"""Timed calls of each variant."""
_RESOLUTION = 1e-6

Fly = Callable[[Runtime, Precision, Path], EvalReport]
"""Evaluates a file in simulation, on the same held-out seeds each time."""


def overlap(first: Interval, second: Interval) -> bool:
    """Whether two intervals have a number in common; touching is enough."""
    return first.low <= second.high and second.low <= first.high


def refused_below(reference: Interval, episodes: int) -> float:
    """The smallest success rate whose interval still overlaps the reference's, for as many episodes; 0 if all do."""
    below, kept = 0.0, reference.mean
    if overlap(wilson(np.zeros(episodes)), reference):
        return 0.0
    while kept - below > _RESOLUTION:
        middle = 0.5 * (below + kept)
        if overlap(wilson(np.full(episodes, middle)), reference):
            kept = middle
        else:
            below = middle
    return kept


def check_seeds(seeds: Sequence[int], recorded: Sequence[int] = SEEDS) -> None:
    """See that nothing is judged on what it was calibrated on.

    Raises:
        RequestError: an episode seed is in both.
    """
    common = sorted(set(seeds) & set(recorded))
    if common:
        raise RequestError(
            f"--seed: episode {common[0]} is among those that ranges are taken from ({recorded[0]} to {recorded[-1]}); "
            "a quantised policy is judged on others"
        )


def quantise(
    policy: Policy[Any],
    folder: Path,
    *,
    task: str,
    precisions: Sequence[Precision],
    rows: Arrays,
    fly: Fly,
    calls: int = CALLS,
) -> QuantReport:
    """Make, measure and fly the variants of an export; what flies worse leaves no file, and ``quantised.json`` says so.

    Args:
        policy: in evaluation mode.
        folder: holds ``policy.onnx``; ``policy.int8.onnx`` and the report are written into it.
        task: short name, for the report.
        precisions: ``int8`` makes the stock file and the kernels', ``bf16`` the kernels' alone.
        rows: recorded steps; see ``record``.
        fly: evaluates a variant.
        calls: timed calls of each variant.

    Raises:
        RequestError: nothing can be made of what was asked for.
    """
    bench = Bench(policy, folder, record := Record.of(rows))
    load = process.load_average()
    bench.add("onnx", "fp32")
    bench.add("fused", "fp32")
    for precision in precisions:
        if precision == "int8":
            bench.add("onnx", "int8")
        bench.add("fused", precision)
        bench.check_has(precision)
    variants = bench.measured(calls)
    flights = {variant.name: fly(*_what(variant, folder)) for variant in variants if variant.name != "fused fp32"}
    judged = tuple(_judged(variant, flights) for variant in variants)
    for variant in judged:
        if not variant.kept and variant.runtime == "onnx":
            (folder / variant.file).unlink()
    reference = flights[judged[0].name]
    report = QuantReport(
        task=task,
        cpu=cpu_name(),
        load=load,
        calls=calls,
        seed=reference.seed,
        episodes=reference.episodes,
        refused_below=refused_below(reference.success, reference.episodes),
        recorded=count(record.ranges),
        recorded_seeds=(SEEDS[0], SEEDS[-1]),
        matrices=bench.matrices,
        variants=judged,
        skipped=bench.skipped,
    )
    text = json.dumps(report.as_dict(), indent=2, allow_nan=False)
    (folder / QUANTISED_NAME).write_text(text + "\n", encoding="utf-8")
    return report


def _what(variant: Variant, folder: Path) -> tuple[Runtime, Precision, Path]:
    return variant.runtime, variant.precision, folder / variant.file


def _judged(variant: Variant, flights: dict[str, EvalReport]) -> Variant:
    """A variant with what its flight came to."""
    flight, reference = flights.get(variant.name), next(iter(flights.values()))
    if flight is None:
        return variant
    if variant.precision == "fp32":
        return dataclasses.replace(variant, success=flight.success)
    difference = np.subtract(flight.per_episode["success"], reference.per_episode["success"])
    return dataclasses.replace(
        variant,
        success=flight.success,
        difference=bootstrap_mean(difference),
        kept=overlap(flight.success, reference.success),
    )
