"""A file is kept once the kernels are proven too; only where none can run here is that left out, and said."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import pytest

from haltere.configs.errors import HaltereError, IntegrityError
from haltere.deploy import export as exporting
from haltere.deploy.export import export
from haltere.deploy.kernels import library as loader
from haltere.deploy.proof import prove_kernels
from haltere.deploy.runtime import kernels

from .blocks import Blocks
from .toys import FACTS, Remembering, ToyConfig, leftovers

CACHED = (loader.library, loader.operators, kernels._native)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the library is looked for, in a process that hasn't loaded any: a whole one, to be spoilt."""
    path = tmp_path / "lib" / loader.LIBRARY_NAME
    path.parent.mkdir()
    path.write_bytes(loader.library_path().read_bytes())
    monkeypatch.setattr(loader, "package_folders", [str(path.parent)])
    for loaded in CACHED:
        loaded.cache_clear()
    yield path
    for loaded in CACHED:
        loaded.cache_clear()


def test_without_a_library_for_this_machine_the_reason_is_given(library: Path, blocks: Path) -> None:
    """Missing, or of another processor: the file is proven as far as this machine can."""
    data = bytearray(library.read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    library.write_bytes(data)
    error, reason = prove_kernels(Blocks(ToyConfig()), blocks.read_bytes(), 1e-5)
    assert error is None and "is for RISC-V, and this is" in reason
    library.unlink()
    error, reason = prove_kernels(Blocks(ToyConfig()), blocks.read_bytes(), 1e-5)
    assert error is None and f"{loader.LIBRARY_NAME} is missing" in reason


def test_without_a_fused_operator_there_is_nothing_to_prove(recurrent_file: Path) -> None:
    """And with one there is."""
    error, reason = prove_kernels(Remembering(ToyConfig(start=0.25)), recurrent_file.read_bytes(), 1e-5)
    assert error is None and reason.startswith("holds no fused operator")


def test_a_damaged_library_stops_the_export(library: Path, tmp_path: Path) -> None:
    """It is no reason to keep a file whose kernels nobody has seen run."""
    library.write_bytes(library.read_bytes()[:-1000])
    with pytest.raises(IntegrityError, match="is cut off"):
        export(Blocks(ToyConfig()), tmp_path / "blocks.onnx", facts=FACTS)
    assert leftovers(tmp_path) == ["lib"]


def test_a_runtime_that_the_kernels_dont_know_stops_the_proof(blocks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise: whoever exports with it would fly with it."""
    monkeypatch.setattr(onnxruntime, "__version__", "2.0.0")
    with pytest.raises(HaltereError, match=r"don't know ONNX Runtime 2\.0\.0"):
        prove_kernels(Blocks(ToyConfig()), blocks.read_bytes(), 1e-5)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_the_file_and_its_copy_appear_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    """Whichever of the two isn't accepted, none is kept, and an older pair stays."""
    out, copy = tmp_path / "toy.onnx", tmp_path / "inline.onnx"
    for path in (out, copy):
        path.write_text("older")
    checked: list[str] = []

    def check(path: str, *, full_check: bool) -> None:
        assert full_check
        checked.append(path)
        if len(checked) == fails_at:
            raise HaltereError("refused")

    monkeypatch.setattr(onnx.checker, "check_model", check)
    with pytest.raises(HaltereError, match="refused"):
        export(Remembering(ToyConfig()), out, facts=FACTS, inline=copy)
    assert len(checked) == fails_at
    assert leftovers(tmp_path) == ["inline.onnx", "toy.onnx"]
    assert out.read_text() == copy.read_text() == "older"


def test_the_copy_is_never_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the disk fails between the two names."""

    def replace(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting.os, "replace", replace)
    with pytest.raises(HaltereError, match=r"toy\.onnx: can't be written: No space left"):
        export(Remembering(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS, inline=tmp_path / "inline.onnx")
    assert leftovers(tmp_path) == []


def test_the_copy_has_a_name_of_its_own(tmp_path: Path) -> None:
    """One of the two would be lost."""
    with pytest.raises(HaltereError, match="can't be the copy without functions as well"):
        export(Remembering(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS, inline=tmp_path / "toy.onnx")
