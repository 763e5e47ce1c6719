"""The picture of one quadrotor: a cross of arms with a body and four rotor discs, seen from the camera."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.mujoco.swarm.constants import QUADROTOR
from haltere.sims.mujoco.swarm.overlay import OVERSAMPLE, Rgb, Tile, blank, smooth
from haltere.sims.mujoco.swarm.view import FloatArray, View

ROTOR_RADIUS_M = 0.0225  # Crazyflie 2.1: propellers of 45 mm
_ROTOR_HEIGHT_M = 0.012
_BODY_M = 0.015
_DARK: Rgb = (14, 18, 28)
_CIRCLE = 2.0 * np.pi * np.arange(20) / 20
_SIDES = np.array([[1, -1], [-1, -1], [-1, 1], [1, 1]], dtype=float)  # motors, front right first, x forward


def rotation(quaternion: FloatArray) -> NDArray[np.float64]:
    """(3, 3) body to world, of a quaternion (4,) with w first; its length doesn't matter."""
    w, x, y, z = np.asarray(quaternion, dtype=float) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quadrotor_tile(
    view: View, position: FloatArray, quaternion: FloatArray, colour: Rgb, scale: float
) -> tuple[Tile, tuple[int, int]]:
    """Draw one quadrotor.

    Args:
        view: the camera.
        position: (3,) centre of mass, world [m].
        quaternion: (4,) attitude, body to world, w first.
        colour: of its rotors; the two in front are lighter.
        scale: how much larger than life.

    Returns:
        The picture, and its top left corner in the image [px].
    """
    attitude = rotation(quaternion)
    motors = np.column_stack([_SIDES * QUADROTOR.motor_offset_m, np.full(4, _ROTOR_HEIGHT_M)])
    circle = ROTOR_RADIUS_M * np.column_stack([np.cos(_CIRCLE), np.sin(_CIRCLE), np.zeros(len(_CIRCLE))])
    rotors = motors[:, None] + circle
    arms = np.column_stack([_SIDES * QUADROTOR.motor_offset_m, np.zeros(4)])
    body = np.column_stack([_SIDES * _BODY_M, np.full(4, 0.4 * _ROTOR_HEIGHT_M)])
    local = np.vstack([rotors.reshape(-1, 3), arms, body, np.zeros((1, 3))])
    xy, depth = view.project(position + scale * local @ attitude.T)
    corner = np.floor(xy.min(axis=0)).astype(int) - 3
    # Only sizes of a quarter of an image can come from a drone at the lens; they are cut rather than drawn.
    size = np.minimum(np.ceil(xy.max(axis=0)).astype(int) + 3 - corner, (view.width // 4, view.height // 4))
    image, pen = blank(int(size[0]), int(size[1]))
    points = (xy - corner) * OVERSAMPLE
    discs, arms_at = points[: 4 * len(_CIRCLE)].reshape(4, -1, 2), points[-9:-5]
    thick = max(1, round(0.009 * scale * view.focal_px / depth[-1] * OVERSAMPLE))
    from_above = attitude[:, 2] @ (view.eye - position) > 0
    order = np.argsort(-depth[: 4 * len(_CIRCLE)].reshape(4, -1).mean(axis=1))
    if not from_above:
        image = _discs(image, discs, order, colour)
        pen = ImageDraw.Draw(image)
    for end in arms_at:
        pen.line([_pair(points[-1]), _pair(end)], fill=(*_mixed(colour, _DARK, 0.55), 255), width=thick)
    pen.polygon([_pair(point) for point in points[-5:-1]], fill=(*_mixed(colour, (255, 255, 255), 0.25), 255))
    if from_above:
        image = _discs(image, discs, order, colour)
    return smooth(image), (int(corner[0]), int(corner[1]))


def _discs(image: Image.Image, discs: NDArray[np.float64], order: NDArray[np.int64], colour: Rgb) -> Image.Image:
    """Blurred propellers: see-through discs with a firm rim, the farthest first."""
    for motor in order:
        layer = Image.new("RGBA", image.size, (*colour, 0))
        front = motor in (0, 3)
        tint = _mixed(colour, (255, 255, 255), 0.55) if front else colour
        rim = [_pair(point) for point in discs[motor]]
        ImageDraw.Draw(layer).polygon(rim, fill=(*tint, 150))
        ImageDraw.Draw(layer).line([*rim, rim[0], rim[1]], fill=(*tint, 255), width=OVERSAMPLE, joint="curve")
        image = Image.alpha_composite(image, layer)
    return image


def _mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _pair(point: NDArray[np.float64]) -> tuple[float, float]:
    return float(point[0]), float(point[1])
