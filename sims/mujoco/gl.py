"""Which OpenGL this machine can draw with offscreen, found out where a crash does no harm."""

import os
import subprocess
import sys
from functools import cache

PROBE_TIMEOUT_S = 30.0
_BACKENDS = ("egl", "osmesa")

# Runs alone in a fresh interpreter: a broken driver aborts or hangs the process, and no exception tells.
_PROBE = """
import importlib, sys, mujoco, numpy as np
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/><camera name='c' pos='0 0 4'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(32, 32)
context.make_current()
renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, renderer)
scene, camera = mujoco.MjvScene(model, maxgeom=10), mujoco.MjvCamera()
camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
viewport, pixels = mujoco.MjrRect(0, 0, 32, 32), np.zeros((32, 32, 3), np.uint8)
mujoco.mjr_render(viewport, scene, renderer)
mujoco.mjr_readPixels(pixels, None, viewport, renderer)
renderer.free()
context.free()
sys.exit(0 if pixels[16, 16].max() > pixels[0, 0].max() else 3)
"""


def _draws(backend: str) -> bool:
    environment = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, backend],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


@cache
def working_gl() -> str | None:
    """Name of the MuJoCo GL backend that draws a sphere here, ``egl`` before ``osmesa``; None where neither does.

    ``MUJOCO_GL`` restricts the choice, as it does for MuJoCo itself. Costs about a second on the first call.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    candidates = (wanted,) if wanted in _BACKENDS else _BACKENDS
    return next((backend for backend in candidates if _draws(backend)), None)
