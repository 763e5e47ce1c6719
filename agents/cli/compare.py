"""``haltere compare``: are two evaluations different?"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haltere.agents.cli.plain import Plain, asks_for_help, plain_help, read_plain, text_or_dash
from haltere.agents.cli.words import output_file, write_json
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.sims.comparison import Comparison, Difference

USAGE = "compare A.json B.json [--json [FILE]]"
ABOUT = """Are two evaluations different? A.json and B.json are what haltere eval --json wrote.

Where both played the same seeds, each episode is compared with itself, which shows much smaller differences. The
probability is that of a difference at least as large, either way, if both actors were equally good. It is that of one
look at one metric: of twenty metrics without any difference, one has 0.05 or less."""
OPTIONS: Mapping[str, Plain] = {
    "json": Plain(text_or_dash, None, "[FILE]", "write the result to a file, or to standard output where it is -"),
}


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    if asks_for_help(argv):
        print(plain_help(USAGE, ABOUT, OPTIONS))
        return 0
    typed = read_plain(argv, OPTIONS)
    if len(typed.words) != 2:
        raise RequestError(f"name two reports: haltere {USAGE}; got {' '.join(typed.words) or 'none'}")
    target = typed.options["json"]
    if target not in (None, "-"):
        output_file(target, "json")
        if Path(target).resolve() in [Path(word).resolve() for word in typed.words]:
            raise RequestError(f"--json: {target} is one of the two that are compared; name another file")
    from haltere.sims.comparison import compare

    comparison = compare(*(read_report(Path(word)) for word in typed.words))
    if target is not None:
        write_json(comparison.as_dict(), target)
    if target != "-":
        print(as_text(comparison))
    return 0


def read_report(path: Path) -> dict[str, Any]:
    """What ``eval --json`` wrote.

    Raises:
        RequestError: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise RequestError(f"{path}: no such file; haltere eval TASK --json FILE writes one")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}: not JSON: {error}") from error
    for wrong in _faults(report):
        raise RequestError(f"{path}: not what haltere eval --json writes: {wrong}")
    whole: dict[str, Any] = report
    return whole


def _faults(report: object) -> list[str]:
    """What of a report isn't as ``EvalReport`` has it, as far as it is read here."""
    if not isinstance(report, dict):
        return ["it isn't an object"]
    kinds = {"task": str, "actor": str, "runtime": str, "config_digest": str, "seeds": list, "per_episode": dict,
             "metrics": dict}  # fmt: skip
    wrong = [f"'{name}' is missing or of another type" for name, kind in kinds.items()
             if not isinstance(report.get(name), kind)]  # fmt: skip
    if wrong:
        return wrong
    seeds = report["seeds"]
    if not seeds or len(set(map(str, seeds))) < len(seeds) or not all(type(seed) is int for seed in seeds):
        wrong.append("'seeds' must be different whole numbers")
    for name, values in report["per_episode"].items():
        if not isinstance(values, list) or len(values) != len(seeds) or not all(_is_finite(value) for value in values):
            wrong.append(f"'per_episode.{name}' must be a finite number for each of {len(seeds)} seeds")
    return wrong


def _is_finite(value: object) -> bool:
    """Of a size that float64 has; a truth value is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def as_text(comparison: "Comparison") -> str:
    """A table for people."""
    first, second = comparison.episodes
    how = f"the same {first:,} seeds, paired" if comparison.paired else f"{first:,} and {second:,} episodes, not paired"
    lines = [f"{comparison.task}: {how}", f"A: {comparison.a}", f"B: {comparison.b}", ""]
    size = max(len(name) for name in comparison.metrics) + 2
    lines.append(f"{'':<{size}}{'A':>9}{'B':>10}{'B - A':>10}{'95 % interval':>22}{'probability':>13}")
    lines += [_row(name, found, size) for name, found in comparison.metrics.items()]
    return "\n".join([*lines, *(f"note: {note}" for note in comparison.notes)])


def _row(name: str, found: "Difference", size: int) -> str:
    between = found.difference
    largest = max(abs(found.a), abs(found.b))
    digits = 3 if largest >= 0.1 or largest == 0.0 else min(6, 2 - math.floor(math.log10(largest)))
    interval = f"{between.low:+.{digits}f} to {between.high:+.{digits}f}"
    probability = "< 0.0001" if found.probability < 1e-4 else f"{found.probability:.4f}"
    means = f"{found.a:>9.{digits}f}{found.b:>10.{digits}f}{between.mean:>+10.{digits}f}"
    return f"{name:<{size}}{means}{interval:>22}{probability:>13}"
