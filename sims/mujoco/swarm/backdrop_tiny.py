"""The scenery through PyBullet's TinyRenderer, which is software and needs no GL library."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

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

Rows = list[list[float]]
_SIDES = 48


@contextmanager
def _quiet() -> Iterator[None]:
    """PyBullet's import prints its build time from C, past ``sys.stderr``."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _pillar(radius: float, height: float) -> tuple[Rows, Rows, list[int]]:
    """A cylinder on the floor as vertices, normals and triangles.

    PyBullet's own cylinder shares normals between wall and lid, which smears the light over its whole length.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, _SIDES, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle), np.zeros(_SIDES)], axis=1)
    foot = radius * around
    top = np.array([0.0, 0.0, 1.0])
    rim = foot + height * top
    vertices = np.vstack([foot, rim, rim, height * top])
    normals = np.vstack([around, around, np.tile(top, (_SIDES + 1, 1))])
    here, following = np.arange(_SIDES), np.roll(np.arange(_SIDES), -1)
    wall = [[here, following, _SIDES + following], [here, _SIDES + following, _SIDES + here]]
    lid = [2 * _SIDES + here, 2 * _SIDES + following, np.full(_SIDES, 3 * _SIDES)]
    indices = np.concatenate([np.stack(triangle, axis=1) for triangle in (*wall, lid)])
    return vertices.tolist(), normals.tolist(), indices.ravel().tolist()


def draw(scenery: Scenery, view: View) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw floor and cylinders once.

    Returns:
        (H, W, 3) colours and (H, W) depth [m].
    """
    with _quiet():
        import pybullet

    client = pybullet.connect(pybullet.DIRECT)
    try:
        half = scenery.room_m / 2
        floor = pybullet.createVisualShape(
            pybullet.GEOM_BOX, halfExtents=[half, half, 0.05], rgbaColor=[*FLOOR_RGB, 1], physicsClientId=client
        )
        pybullet.createMultiBody(0, -1, floor, basePosition=[0, 0, -0.05], physicsClientId=client)
        vertices, normals, indices = _pillar(scenery.radius_m, scenery.drawn_height_m)
        for x, y in scenery.obstacle:
            shape = pybullet.createVisualShape(
                pybullet.GEOM_MESH,
                vertices=vertices,
                normals=normals,
                indices=indices,
                rgbaColor=[*CYLINDER_RGB, 1],
                physicsClientId=client,
            )
            pybullet.createMultiBody(0, -1, shape, basePosition=[float(x), float(y), 0.0], physicsClientId=client)
        _, _, rgba, depth, _ = pybullet.getCameraImage(
            view.width,
            view.height,
            viewMatrix=pybullet.computeViewMatrix(view.eye.tolist(), view.target.tolist(), [0, 0, 1]),
            projectionMatrix=pybullet.computeProjectionMatrixFOV(
                view.fovy_deg, view.width / view.height, NEAR_M, FAR_M
            ),
            lightDirection=list(LIGHT),
            shadow=0,
            lightAmbientCoeff=0.55,
            lightDiffuseCoeff=0.55,
            lightSpecularCoeff=0.0,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=client,
        )
    finally:
        pybullet.disconnect(client)
    colours = np.reshape(rgba, (view.height, view.width, 4))[..., :3].astype(np.uint8)
    buffer = np.reshape(depth, (view.height, view.width)).astype(np.float32)
    return colours, linear_depth(buffer)
