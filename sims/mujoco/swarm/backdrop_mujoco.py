"""The scenery through MuJoCo's offscreen renderer."""

import importlib

import mujoco
import numpy as np
from numpy.typing import NDArray

from haltere.sims.mujoco.swarm.backdrop import (
    CYLINDER_RGB,
    FAR_M,
    FLOOR_RGB,
    LIGHT,
    NEAR_M,
    Scenery,
    linear_depth,
)
from haltere.sims.mujoco.swarm.view import View


def _words(*values: object) -> str:
    return " ".join(f"{value:.9g}" for value in np.concatenate([np.ravel(np.asarray(v, float)) for v in values]))


def _model(scenery: Scenery, view: View) -> mujoco.MjModel:
    half, height = scenery.room_m / 2, scenery.drawn_height_m / 2
    size = _words(scenery.radius_m, height)
    cylinders = "".join(
        f'<geom type="cylinder" size="{size}" pos="{_words(axis, height)}" rgba="{_words(CYLINDER_RGB, 1)}"/>'
        for axis in scenery.obstacle
    )
    # Clip planes are given in units of the model's extent, which is therefore fixed at one metre. Twice the size is
    # smooth enough: multisampling would double the time.
    return mujoco.MjModel.from_xml_string(f"""
    <mujoco>
      <statistic extent="1" center="0 0 0"/>
      <visual>
        <global offwidth="{view.width}" offheight="{view.height}"/>
        <quality shadowsize="0" offsamples="0" numslices="96"/>
        <map znear="{NEAR_M}" zfar="{FAR_M}"/>
        <headlight ambient="0.42 0.42 0.42" diffuse="0.22 0.22 0.22" specular="0 0 0"/>
      </visual>
      <worldbody>
        <light directional="true" castshadow="false" pos="0 0 12" dir="{_words(-np.array(LIGHT))}"
               diffuse="0.55 0.55 0.55" specular="0 0 0"/>
        <geom type="box" size="{_words(half, half, 0.05)}" pos="0 0 -0.05" rgba="{_words(FLOOR_RGB, 1)}"/>
        {cylinders}
        <camera pos="{_words(view.eye)}" xyaxes="{_words(view.axes[:2])}" fovy="{_words(view.fovy_deg)}"/>
      </worldbody>
    </mujoco>""")


def draw(scenery: Scenery, view: View, backend: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw floor and cylinders once.

    Args:
        scenery: what to draw.
        view: the camera; its size is the picture's.
        backend: ``egl`` or ``osmesa``, as ``working_gl`` found it.

    Returns:
        (H, W, 3) colours and (H, W) depth [m].
    """
    model = _model(scenery, view)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    gl = importlib.import_module(f"mujoco.{backend}").GLContext(view.width, view.height)
    gl.make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    try:
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZERONEAR
        scene, camera = mujoco.MjvScene(model, maxgeom=model.ngeom + 1), mujoco.MjvCamera()
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, everything, scene)
        viewport = mujoco.MjrRect(0, 0, view.width, view.height)
        rgb = np.empty((view.height, view.width, 3), np.uint8)
        depth = np.empty((view.height, view.width), np.float32)
        mujoco.mjr_render(viewport, scene, context)
        mujoco.mjr_readPixels(rgb, depth, viewport, context)
    finally:
        context.free()
        gl.free()
    return rgb[::-1], linear_depth(depth[::-1])
