"""Thousands of damaged and hostile model files: each is refused with a sentence or flies, and none crashes.

They run in processes of their own: a crash shows as the exit status, and its name says how to make it again. Most are
sealed again, so that they get past the digest and into ONNX Runtime, or into our kernels.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .operator_files import operator_files

ROOT = Path(__file__).parents[2]
SLICE = 1000
"""Mutants of one process, so that a crash doesn't hide what would have come after it for long."""
TIMEOUT_S = 3600  # for one slice, which takes ten seconds on an idle core


def fly(folder: Path, mode: str, kinds: str, numbers: range, models: list[Path]) -> Counter[str]:
    """How many were refused and how many ran. Numbers are drawn anew each time in the same way.

    Fails with the mutant's name where one ends its process, or never ends.
    """
    options = [str(folder), mode, kinds, "20230923", str(numbers[0]), str(numbers[-1]), *map(str, models)]
    command = [sys.executable, "-m", "tests.deploy.mutants", *options]
    with (folder / "log").open("w+") as log:
        try:
            status = subprocess.run(
                command, stdout=log, stderr=log, cwd=ROOT, check=False, timeout=TIMEOUT_S
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
        log.seek(0)
        lines = log.read().splitlines() or [""]
    if status != 0:
        name = next((line for line in reversed(lines) if line.startswith(mode)), "before the first")
        ended = "ran into the time limit" if status is None else f"ended with status {status}"
        tail = "\n".join(lines[-15:])
        pytest.fail(f"the mutant '{name}' {ended}; it lies in {folder / 'mutant.onnx'}; {' '.join(command)}\n{tail}")
    return Counter(json.loads(lines[-1]))


@pytest.fixture(scope="module")
def operators(swarm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A file for each kernel."""
    return operator_files(tmp_path_factory.mktemp("operators"), swarm_folder / "policy.onnx")


@pytest.mark.parametrize(
    ("mode", "kinds"), [("stock", "raw,bytes,structure"), ("fused", "bytes,structure,misuse"), ("stock", "operator")]
)
def test_mutants_are_refused_or_run_but_never_crash(
    swarm_folder: Path, recurrent_file: Path, blocks: Path, operators: list[Path], tmp_path: Path, mode: str, kinds: str
) -> None:
    """200 of each kind of damage, 600 with an operator that isn't the exporter's."""
    exported = [swarm_folder / "policy.onnx", blocks]
    models = [*exported, recurrent_file] if mode == "stock" else [*exported, *operators]
    counts = fly(tmp_path, mode, kinds, range(600 // len(kinds.split(","))), models)
    assert sum(counts.values()) == 600
    for kind in kinds.split(","):
        assert counts[f"{kind} refused"] > 0
        assert (counts[f"{kind} ran"] > 0) == (kind != "raw"), counts
    sealed = [kind for kind in kinds.split(",") if kind != "raw"]
    assert min(sum(counts[f"{kind} {end}"] for kind in sealed) for end in ("refused", "ran")) > 20, counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("fused", kind) for kind in ("structure", "misuse", "bytes")),
        *(("stock", kind) for kind in ("structure", "bytes", "operator")),
    ],
)
def test_twenty_thousand_mutants(
    swarm_folder: Path, recurrent_file: Path, blocks: Path, operators: list[Path], tmp_path: Path, mode: str, kind: str
) -> None:
    """With kernels and without: what a file means changed, what its operators are given, and its bytes."""
    exported = [swarm_folder / "policy.onnx", blocks]
    models = [*exported, recurrent_file] if mode == "stock" else [*exported, *operators]
    counts: Counter[str] = Counter()
    for first in range(0, 20_000, SLICE):
        counts += fly(tmp_path, mode, kind, range(first, first + SLICE), models)
    print(mode, dict(counts))
    assert sum(counts.values()) == 20_000
    assert min(counts[f"{kind} refused"], counts[f"{kind} ran"]) > 400, counts
