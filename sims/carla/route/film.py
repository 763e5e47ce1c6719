"""A film from above: the road, the lights' lines, the route, who is there, and what the agent commands."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.carla.route.masks import SIDE_PX, Masks, fill
from haltere.sims.carla.route.world import FAR_M, STEP_S, RouteWorld
from haltere.sims.drawing import BACK, EDGE, PANEL, QUIET, READ, RIGHT, TEXT, Rgb, checked, font

_ZOOM = 3
_SIDE = _ZOOM * SIDE_PX
_WIDTH = _SIDE + 264
_ROAD: Rgb = (52, 60, 74)
_MARKS: Rgb = (214, 219, 228)
_OTHER: Rgb = (86, 156, 255)
_STOP: Rgb = (240, 84, 84)
_LINE_M = 3.5


def frame(road: RouteWorld, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Draw a world as it is now.

    Args:
        road: one world.
        aux: what the actor shows; ``"action"`` (2,) is drawn as two bars.

    Returns:
        (576, 840, 3) RGB.

    Raises:
        HaltereError: the action isn't two finite numbers.
    """
    image = Image.new("RGB", (_WIDTH, _SIDE), BACK)
    image.paste(Image.fromarray(_above(road)), (0, 0))
    pen = ImageDraw.Draw(image)
    _words(pen, road)
    if "action" in aux:
        wheel, pedals = np.clip(checked("haltere/CarlaRoute-v0", "action", aux["action"], 2), -1.0, 1.0).tolist()
        _bar(pen, 400, "wheel", wheel, READ)
        _bar(pen, 460, "throttle" if pedals >= 0.0 else "brake", pedals, RIGHT if pedals >= 0.0 else _STOP)
    return np.asarray(image)


def _above(road: RouteWorld) -> NDArray[np.uint8]:
    place, turned = road.seen.place[0], float(road.seen.turned[0])
    drawn: NDArray[np.uint8] = np.full((_SIDE, _SIDE, 3), BACK, np.uint8)
    masks = road.masks.seen(place, turned)[:2]
    ground, marks = (cv2.resize(mask, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)[..., None] for mask in masks)
    drawn[ground[..., 0] > 0] = _ROAD
    drawn[:] = drawn + (marks / 255.0) * (np.array(_MARKS) - drawn)

    def pixels(places: NDArray[np.float64]) -> NDArray[np.int32]:
        return Masks.pixels(places, place, turned, _ZOOM)

    route = pixels(road.way.points[road.at :])
    cv2.polylines(drawn, [route], False, READ, 4, cv2.LINE_AA)
    for where, heading, closed in road.lines():
        across = 0.5 * _LINE_M * np.array([-np.sin(heading), np.cos(heading)])
        ends = pixels(np.stack([where - across, where + across]))
        cv2.polylines(drawn, [ends], False, _STOP if closed else RIGHT, 6, cv2.LINE_AA)
    corners = pixels(road.boxes.corners())
    fill(drawn, corners[1:], _OTHER)
    fill(drawn, corners[:1], _STOP if road.collided else TEXT)
    return drawn


def _words(pen: ImageDraw.ImageDraw, road: RouteWorld) -> None:
    left = _SIDE + EDGE
    limit, line = 3.6 * road.limit_mps, road.line_m()
    told = [
        ("speed", f"{3.6 * float(road.seen.speed[0]):.0f} of {limit:.0f} km/h"),
        ("route", f"{max(road.along_m, 0.0):.0f} of {road.way.length_m:.0f} m"),
        ("beside the route", f"{road.aside_m:+.2f} m"),
        ("light that isn't green", f"in {line:.0f} m" if line < FAR_M else "none near"),
        ("time", f"{road.steps * STEP_S:.1f} s"),
    ]
    pen.text((left, EDGE), road.config.town, font=font(24), fill=TEXT)
    for row, (name, value) in enumerate(told):
        top = 72 + 56 * row
        pen.text((left, top), name, font=font(13), fill=QUIET)
        pen.text((left, top + 18), value, font=font(20), fill=TEXT)


def _bar(pen: ImageDraw.ImageDraw, top: int, name: str, value: float, colour: Rgb) -> None:
    """A number from -1 to 1, from the middle."""
    left, right = _SIDE + EDGE, _WIDTH - EDGE
    middle = (left + right) / 2
    pen.text((left, top), name, font=font(13), fill=QUIET)
    pen.rectangle((left, top + 20, right, top + 34), fill=PANEL)
    end = middle + value * (right - left) / 2
    pen.rectangle((min(middle, end), top + 20, max(middle, end), top + 34), fill=colour)
