"""The scenery through MuJoCo's offscreen renderer."""

import importlib
from xml.etree import ElementTree

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


def _words(values: object) -> str:
    return " ".join(f"{value:.9g}" for value in np.ravel(np.asarray(values, dtype=float)))


def _model(scenery: Scenery, view: View) -> mujoco.MjModel:
    root = ElementTree.Element("mujoco")
    # Clip planes are given in units of the model's extent, which is therefore fixed at one metre.
    ElementTree.SubElement(root, "statistic", extent="1", center="0 0 0")
    visual = ElementTree.SubElement(root, "visual")
    ElementTree.SubElement(visual, "global", offwidth=str(view.width), offheight=str(view.height))
    ElementTree.SubElement(visual, "quality", shadowsize="0", offsamples="0", numslices="96")
    ElementTree.SubElement(visual, "map", znear=str(NEAR_M), zfar=str(FAR_M))
    ElementTree.SubElement(visual, "headlight", ambient="0.42 0.42 0.42", diffuse="0.22 0.22 0.22", specular="0 0 0")
    world = ElementTree.SubElement(root, "worldbody")
    light = {"directional": "true", "castshadow": "false", "specular": "0 0 0", "diffuse": "0.55 0.55 0.55"}
    ElementTree.SubElement(world, "light", pos="0 0 12", dir=_words(-np.array(LIGHT)), **light)
    half = _words(scenery.room_m / 2)
    floor = {"type": "box", "size": f"{half} {half} 0.05", "pos": "0 0 -0.05", "rgba": f"{_words(FLOOR_RGB)} 1"}
    ElementTree.SubElement(world, "geom", **floor)
    height = scenery.drawn_height_m / 2
    for x, y in scenery.obstacle:
        cylinder = {"type": "cylinder", "size": _words([scenery.radius_m, height]), "pos": _words([x, y, height])}
        ElementTree.SubElement(world, "geom", rgba=f"{_words(CYLINDER_RGB)} 1", **cylinder)
    axes = view.axes
    camera = {"name": "view", "pos": _words(view.eye), "xyaxes": _words(axes[:2]), "fovy": _words(view.fovy_deg)}
    ElementTree.SubElement(world, "camera", **camera)
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


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
