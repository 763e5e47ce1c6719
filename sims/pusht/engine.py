"""The package's environment, imported without its greeting on standard output, where a caller may want JSON alone."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from gym_pusht.envs.pusht import PushTEnv  # type: ignore[import-untyped]

__all__ = ["PushTEnv"]
