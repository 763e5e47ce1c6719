"""A pinhole camera that stands still, and where it has to stand to see everything of interest."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class View:
    """Camera pose and lens. Pixel (0, 0) is the top left corner of the image, its centre lies at (0.5, 0.5).

    Attributes:
        eye: (3,) position, world [m].
        target: (3,) point in the middle of the image, world [m].
        fovy_deg: vertical field of view [degrees].
        width: image width [px].
        height: image height [px].
    """

    eye: FloatArray
    target: FloatArray
    fovy_deg: float
    width: int
    height: int

    @cached_property
    def axes(self) -> FloatArray:
        """(3, 3): right, up and forward in the world, one a row."""
        forward = (self.target - self.eye) / np.linalg.norm(self.target - self.eye)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(right, forward), forward])

    @cached_property
    def focal_px(self) -> float:
        """Pixels per unit of tangent: a length of L metres at depth d covers ``focal_px * L / d`` pixels."""
        return float(0.5 * self.height / np.tan(np.radians(self.fovy_deg) / 2))

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Image coordinates (..., 2) [px] and depth along the optical axis (...,) [m] of world points (..., 3)."""
        local = (points - self.eye) @ self.axes.T
        depth = np.maximum(local[..., 2], 1e-3)
        xy = local[..., :2] * np.array([1.0, -1.0]) * (self.focal_px / depth)[..., None]
        return xy + np.array([self.width / 2, self.height / 2]), depth

    def unproject(self, depth: FloatArray) -> FloatArray:
        """World points (H, W, 3) [m] seen at the pixels' centres, from their depth (H, W) [m]."""
        x = ((np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px).astype(np.float32)
        y = ((self.height / 2 - np.arange(self.height) - 0.5) / self.focal_px).astype(np.float32)
        right, up, forward = self.axes.astype(np.float32)
        rays = x[None, :, None] * right + (y[:, None, None] * up + forward)
        points: FloatArray = self.eye.astype(np.float32) + depth[..., None].astype(np.float32) * rays
        return points


def fit(
    points: FloatArray,
    width: int,
    height: int,
    *,
    azimuth_deg: float = 74.0,
    elevation_deg: float = 36.0,
    fovy_deg: float = 30.0,
    margin: float = 0.94,
) -> View:
    """The nearest view from a direction in which all points lie inside the middle ``margin`` of the image.

    Args:
        points: (P, 3) what must be seen, world [m].
        width: image width [px].
        height: image height [px].
        azimuth_deg: direction from the target to the camera, seen from above, from x towards y.
        elevation_deg: of the camera above the horizon of the target.
        fovy_deg: vertical field of view.
        margin: part of the image that the points may fill.
    """
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    towards = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    unit = View(middle + towards, middle, fovy_deg, width, height)
    local = (points - middle) @ unit.axes.T
    slope_y = margin * np.tan(np.radians(fovy_deg) / 2)
    slope = np.array([slope_y * width / height, slope_y])
    # A point at (x, y, z) in camera axes is inside where |x| <= slope * (z + distance): solved for the distance, after
    # the target has been moved sideways to the middle between the two points that bound it on either side.
    shift = np.zeros(2)
    for axis in range(2):
        reach = local[:, 2] * slope[axis]
        upper, lower = (local[:, axis] - reach).max(), (-local[:, axis] - reach).max()
        shift[axis] = (upper - lower) / 2
    local[:, :2] -= shift
    distance = (np.abs(local[:, :2]) / slope - local[:, 2:]).max()
    centre = middle + shift @ unit.axes[:2]
    return View(centre + towards * max(distance, 0.5), centre, fovy_deg, width, height)
