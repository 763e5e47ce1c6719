"""How fast worlds are, from rounds that were timed: for the benches of the tasks."""

import numpy as np
from numpy.typing import NDArray


def speeds(full_s: NDArray[np.float64], bare_s: NDArray[np.float64], steps: int) -> dict[str, float]:
    """What a task costs on top of its engine.

    Args:
        full_s: CPU time of the whole environment in each round [s]; the first round warms up and isn't counted.
        bare_s: CPU time of the engine alone for the same steps [s].
        steps: of a round, over all worlds and agents.

    Returns:
        ``full_steps_per_cpu_s`` and ``bare_steps_per_cpu_s`` (medians over rounds), and ``ratio``, the median of the
        rounds' own ratios.
    """
    full_s, bare_s = full_s[1:], bare_s[1:]
    return {
        "full_steps_per_cpu_s": float(steps / np.median(full_s)),
        "bare_steps_per_cpu_s": float(steps / np.median(bare_s)),
        "ratio": float(np.median(bare_s / full_s)),
    }
