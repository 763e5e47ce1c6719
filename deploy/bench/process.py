"""What this process takes of the machine's memory, and what others take of its time."""

import ctypes
import gc
import os
from pathlib import Path


def reset_peak_kib() -> float | None:
    """Resident memory now [KiB], with the peak reset to it and freed memory given back; None where that can't be."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status_kib("VmRSS")
    except (OSError, KeyError):
        return None


def peak_kib() -> float:
    """Largest resident memory since the peak was last reset [KiB]; only where ``reset_peak_kib`` could."""
    return _status_kib("VmHWM")


def _status_kib(key: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return float(entries[key].split()[0])


def load_average() -> float | None:
    """Processes that wanted to run, mean over the last minute; None where the system doesn't say."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None
