"""How a policy learned: the few columns of a run's metrics that are worth keeping beside its weights."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CURVE_NAME = "curve.jsonl"
METRICS_NAME = "metrics.jsonl"
COLUMNS = ("steps", "episode/success", "episode/collision", "episode/goal_distance_m", "time/wall_s")
MAX_ROWS = 200


def read_curve(folder: Path) -> list[dict[str, float]]:
    """The curve that lies in a policy folder, or that of the run in which the folder lies; empty where there is none.

    At most ``MAX_ROWS`` rows of ``COLUMNS``, evenly spread, the last one among them. A line that isn't whole is
    skipped: a run that is still going may be writing it.
    """
    candidates = [folder / CURVE_NAME, *(parent / METRICS_NAME for parent in (folder, *folder.absolute().parents[:2]))]
    source = next((path for path in candidates if path.is_file()), None)
    if source is None:
        return []
    rows = [row for line in source.read_text(encoding="utf-8").splitlines() if (row := _row(line))]
    spread = max(1, math.ceil(len(rows) / MAX_ROWS))
    return rows[::-1][::spread][::-1]


def curve_text(rows: list[dict[str, float]]) -> str:
    """The rows as JSON lines, four significant digits each: what a policy folder keeps as ``curve.jsonl``."""
    short = [{name: float(f"{value:.4g}") if name != "steps" else value for name, value in row.items()} for row in rows]
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in short)


def _row(line: str) -> dict[str, float] | None:
    try:
        row: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, Mapping) or not _is_number(row.get("steps")):
        return None
    return {name: row[name] for name in COLUMNS if _is_number(row.get(name))}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
