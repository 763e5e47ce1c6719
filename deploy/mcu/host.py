"""A written policy compiled by this machine's C compiler and called from numpy: for parity, tests and simulation."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.deploy.contract import Contract
from haltere.deploy.mcu.c_text import template
from haltere.deploy.mcu.header import count

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wdouble-promotion", "-Wfloat-conversion")
ARITHMETIC = ("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
STANDARD = ("-std=c99", *WARNINGS, *ARITHMETIC)
Float32 = NDArray[np.float32]


def compiler() -> str:
    """The host's C compiler: ``CC``, or ``cc``.

    Raises:
        RequestError: there is none.
    """
    name = os.environ.get("CC") or "cc"
    found = shutil.which(name)
    if found is None:
        raise RequestError(f"no C compiler '{name}' on this machine: install gcc or clang, or name one with CC=")
    return found


def run_tool(command: Sequence[str | Path], what: str, *, cwd: Path | None = None) -> str:
    """Run a compiler or the like; returns its standard output.

    Raises:
        HaltereError: it failed; the message has the first lines of what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:400]
        raise HaltereError(f"{what} failed: {words[0]} gave {done.returncode}: {said}")
    return done.stdout


class HostPolicy:
    """``policy.c`` of a folder as a function of arrays."""

    def __init__(self, folder: Path, contract: Contract) -> None:
        """Compile with -O2 and load.

        Args:
            folder: holds ``policy.c`` and ``policy.h``; nothing is written to it.
            contract: what they were written for.

        Raises:
            RequestError: there is no compiler.
            HaltereError: it refuses the source.
        """
        self._inputs, self._outputs = contract.inputs, contract.outputs
        self._sizes = count(contract.inputs), count(contract.outputs)
        # Once loaded, the library needs its file no longer.
        with tempfile.TemporaryDirectory(prefix="haltere-") as place:
            lanes, library = Path(place) / "lanes.c", Path(place) / "policy.so"
            lanes.write_text(template("lanes.c"), encoding="utf-8")
            options = [*STANDARD, "-O2", "-shared", "-fPIC", f"-I{folder}"]
            sources = [folder / "policy.c", lanes]
            run_tool([compiler(), *options, *sources, "-o", library, "-lm"], f"compiling {folder / 'policy.c'}")
            self._library = ctypes.CDLL(str(library))
        for function in (self._library.haltere_lanes, self._library.haltere_lanes_unchecked):
            function.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self._library.haltere_lanes.restype = ctypes.c_long
        self._library.haltere_lanes_unchecked.restype = None

    def run(self, obs: Float32, *, check: bool = True) -> tuple[Float32, int]:
        """One control step of B lanes.

        Args:
            obs: (B, O), every observation of the contract end to end.
            check: ask ``haltere_observation_ok`` first.

        Returns:
            The outputs (B, P) end to end, and the first lane that isn't ok, or -1. Nothing was run where one isn't.
        """
        obs = np.ascontiguousarray(obs, np.float32)
        if obs.ndim != 2 or obs.shape[1] != self._sizes[0]:
            raise ValueError(f"expected (B, {self._sizes[0]}), got {obs.shape}")
        out = np.zeros((len(obs), self._sizes[1]), np.float32)
        if not check:
            self._library.haltere_lanes_unchecked(len(obs), obs.ctypes.data, out.ctypes.data)
            return out, -1
        return out, int(self._library.haltere_lanes(len(obs), obs.ctypes.data, out.ctypes.data))

    def step(self, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """One control step under the contract's names, as the parity check wants it."""
        lanes = len(inputs[self._inputs[0].name])
        flat = np.concatenate([inputs[tensor.name].reshape(lanes, -1) for tensor in self._inputs], axis=1)
        return self.split(self.run(flat, check=False)[0])

    def split(self, out: Float32) -> dict[str, Float32]:
        """Outputs (B, P) by the contract's names."""
        ends = np.cumsum([count([tensor]) for tensor in self._outputs])[:-1]
        parts = np.split(out, ends, axis=1)
        return {t.name: part.reshape(len(out), *t.shape) for t, part in zip(self._outputs, parts, strict=True)}
