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


@contextmanager
def _quiet() -> Iterator[None]:
    """PyBullet's import prints its build time from C to standard output, which belongs to ``--json -``."""
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


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
        height = scenery.drawn_height_m
        for x, y in scenery.obstacle:
            shape = pybullet.createVisualShape(
                pybullet.GEOM_CYLINDER,
                radius=scenery.radius_m,
                length=height,
                rgbaColor=[*CYLINDER_RGB, 1],
                physicsClientId=client,
            )
            pybullet.createMultiBody(0, -1, shape, basePosition=[x, y, height / 2], physicsClientId=client)
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
