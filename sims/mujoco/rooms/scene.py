"""The room in perspective: polygons, the farthest first. It needs no GL, which a picture of boxes is not worth."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.drawing import BACK, PANEL, QUIET, RIGHT, TEXT, Rgb, font, mixed, thing
from haltere.sims.mujoco.rooms.constants import ROOM, SCREEN_PLACE, SCREENS
from haltere.sims.mujoco.rooms.draws import FloatArray
from haltere.sims.mujoco.rooms.worlds import Worlds
from haltere.sims.mujoco.swarm.view import View, fit
from haltere.sims.things import COLOURS

VIEW_WIDTH, VIEW_HEIGHT = 580, 404
_FLOOR: Rgb = (38, 46, 62)
_WALL: Rgb = (54, 64, 84)
_BOX: Rgb = (152, 118, 84)
_AGENT: Rgb = (86, 156, 255)
_DARK: Rgb = (10, 12, 18)
_WALL_M, _SCREEN_M, _THING_M = 0.5, 0.7, 0.55
_SMOOTH = 2


def _view() -> View:
    half = ROOM.side_m / 2
    corners = [(x, y, z) for x in (-half, half) for y in (-half, half) for z in (0.0, _SCREEN_M + 0.3)]
    width, height = VIEW_WIDTH * _SMOOTH, VIEW_HEIGHT * _SMOOTH
    return fit(np.array(corners), width, height, azimuth_deg=-104.0, elevation_deg=50.0, margin=0.97)


_VIEW = _view()


def draw_room(world: Worlds) -> Image.Image:
    """One world as it is now."""
    image = Image.new("RGB", (_VIEW.width, _VIEW.height), BACK)
    pen = ImageDraw.Draw(image)
    _floor(pen)
    box, screen, shown = (int(part[0]) for part in world.shown())
    count = int(world.layout.boxes[0])
    # Bodies by their distance from the camera: they stand apart, so that the order of their middles is right.
    bodies = [(tuple(place), number) for number, place in enumerate(world.layout.place[0, :count].tolist())]
    bodies.append((tuple(world.place[0].tolist()), -1))
    for (x, y), number in sorted(bodies, key=lambda body: -_depth(*body[0])):
        if number < 0:
            _agent(pen, x, y, world.heading[0])
            continue
        right = bool(world.acts[0]) and number == int(world.layout.target[0])
        _box(image, pen, (x, y), number, shown if number == box else -1, right)
    for number in range(SCREENS):
        _screen(image, pen, number, shown if number == screen else -1)
    return image.resize((VIEW_WIDTH, VIEW_HEIGHT), Image.Resampling.BOX)


def _depth(x: float, y: float) -> float:
    return float(_VIEW.project(np.array([x, y, 0.0]))[1])


def _polygon(pen: ImageDraw.ImageDraw, points: NDArray[np.float64], fill: Rgb, outline: Rgb | None = None) -> None:
    """A polygon of points of the room, (P, 3) [m]."""
    xy, _ = _VIEW.project(points)
    pen.polygon([(float(x), float(y)) for x, y in xy], fill=fill, outline=outline, width=_SMOOTH)


def _floor(pen: ImageDraw.ImageDraw) -> None:
    """The floor with a line each metre, and the two walls behind it."""
    half = ROOM.side_m / 2
    _polygon(pen, np.array([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)]), _FLOOR)
    for at in np.arange(-half, half + 0.5).tolist():
        for line in (((at, -half, 0.0), (at, half, 0.0)), ((-half, at, 0.0), (half, at, 0.0))):
            xy, _ = _VIEW.project(np.array(line))
            pen.line([(float(x), float(y)) for x, y in xy], fill=mixed(_FLOOR, QUIET, 0.15), width=_SMOOTH)
    for (a, b), (c, d) in (((-half, half), (half, half)), ((half, -half), (half, half))):
        _polygon(pen, np.array([(a, b, 0), (c, d, 0), (c, d, _WALL_M), (a, b, _WALL_M)]), _WALL)


def _agent(pen: ImageDraw.ImageDraw, x: float, y: float, heading: FloatArray) -> None:
    """A ball with its shadow, and an arrow on the floor that points where it does."""
    radius = ROOM.agent_radius_m
    circle = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
    ring = np.stack([x + radius * np.cos(circle), y + radius * np.sin(circle), np.zeros(28)], axis=1)
    _polygon(pen, ring, mixed(_FLOOR, _DARK, 0.6))
    ahead, left = np.array([*heading, 0.0]), np.array([-heading[1], heading[0], 0.0])
    foot = np.array([x, y, 0.01])
    tip = foot + 0.55 * ahead
    _polygon(pen, np.stack([foot + 0.28 * ahead + 0.13 * left, tip, foot + 0.28 * ahead - 0.13 * left]), TEXT)
    (at, up), depth = _VIEW.project(np.array([x, y, radius]))
    size = _VIEW.focal_px * radius / float(depth)
    pen.ellipse((at - size, up - size, at + size, up + size), fill=_AGENT, outline=mixed(_AGENT, TEXT, 0.5), width=2)


def _box(
    image: Image.Image, pen: ImageDraw.ImageDraw, at: tuple[float, float], number: int, shown: int, right: bool
) -> None:
    """A box with its number; open, its lid stands up and its object hangs above it."""
    x, y = at
    half, tall = ROOM.box_half_m, ROOM.box_height_m
    corner = np.array([(-half, -half), (half, -half), (half, half), (-half, half)]) + np.array(at)
    foot, rim = (np.column_stack([corner, np.full(4, z)]) for z in (0.0, tall))
    lid = rim[[3, 2]] + np.array([0.0, 0.1, 2 * half])
    if shown >= 0:
        _polygon(pen, np.stack([rim[3], rim[2], lid[1], lid[0]]), mixed(_BOX, TEXT, 0.2), _DARK)
    edge = RIGHT if right else _DARK
    side = (3, 0) if x > _VIEW.eye[0] else (1, 2)
    for (a, b), shade in ((side, 0.25), ((0, 1), 0.1)):
        _polygon(pen, np.stack([foot[a], foot[b], rim[b], rim[a]]), mixed(_BOX, _DARK, shade), edge)
    _polygon(pen, rim, _DARK if shown >= 0 else mixed(_BOX, TEXT, 0.12), edge)
    (left, top), _ = _VIEW.project(np.array([x, y - half, 0.45 * tall]))
    pen.text((float(left), float(top)), str(number + 1), font=font(13 * _SMOOTH), fill=edge, anchor="mm")
    if shown >= 0:
        _thing(image, np.array([x, y, tall + 0.75 * _THING_M]), shown)


def _screen(image: Image.Image, pen: ImageDraw.ImageDraw, number: int, shown: int) -> None:
    """A screen in the middle of a wall; open, it shows its object."""
    half = _SCREEN_M / 2
    middle = np.array([*SCREEN_PLACE[number], 0.0])
    side = half * np.array([number % 2, 1 - number % 2, 0])
    low, high = np.array([0.0, 0.0, 0.12]), np.array([0.0, 0.0, 0.12 + _SCREEN_M])
    panel = np.stack([middle - side + low, middle + side + low, middle + side + high, middle - side + high])
    _polygon(pen, panel, mixed(PANEL, QUIET, 0.5) if shown >= 0 else PANEL, QUIET)
    if shown >= 0:
        _thing(image, middle + np.array([0.0, 0.0, 0.12 + half]), shown)


def _thing(image: Image.Image, at: NDArray[np.float64], shown: int) -> None:
    """An object that faces the camera."""
    (x, y), depth = _VIEW.project(at)
    side = max(11, round(_VIEW.focal_px * _THING_M / float(depth)))
    card = thing(*divmod(shown, len(COLOURS)), side)
    image.paste(card, (round(float(x) - side / 2), round(float(y) - side / 2)))
