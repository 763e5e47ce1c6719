"""The signs of a film of the swarm: goal rings, contact flashes, attention bars, counters and the legend."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from haltere.sims.mujoco.swarm.backdrop import CYLINDER_RGB
from haltere.sims.mujoco.swarm.overlay import OVERSAMPLE, Canvas, Rgb, Tile, blank, smooth
from haltere.sims.mujoco.swarm.snapshot import SwarmSnapshot

NEIGHBOUR_RGB: Rgb = (240, 244, 250)
OBSTACLE_RGB: Rgb = (round(410 * CYLINDER_RGB[0]), round(400 * CYLINDER_RGB[1]), round(330 * CYLINDER_RGB[2]))
"""The cylinders' own colour, brighter."""
_CONTACT_RGB: Rgb = (255, 86, 74)
_QUIET_RGB: Rgb = (164, 176, 196)
_BAR_STEPS = 24
_EDGE_PX = 12


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(size)


@cache
def text_tile(text: str, size: int = 15, colour: Rgb = (226, 232, 240)) -> Tile:
    """A line of text; ``size`` is the font's, in pixels. Cached, since most of a film's text stays the same."""
    font = _font(size)
    left, _, right, _ = font.getbbox(text)
    image = Image.new("RGBA", (int(right - left) + 4, round(size * 1.4)), (*colour, 0))
    ImageDraw.Draw(image).text((2 - left, 0), text, font=font, fill=(*colour, 255))
    return np.asarray(image)


@cache
def ring_tile(colours: tuple[Rgb, ...], radius: int = 9, thickness: int = 3) -> Tile:
    """A goal: a ring in the colour of its drone, or one arc for each drone that shares it, around a dot."""
    side = 2 * (radius + 3)
    image, pen = blank(side, side)
    middle, outer = side * OVERSAMPLE / 2, radius * OVERSAMPLE
    box = (middle - outer, middle - outer, middle + outer, middle + outer)
    pen.ellipse(_grown(box, OVERSAMPLE), fill=(8, 11, 18, 110))
    sweep = 360.0 / len(colours)
    for index, colour in enumerate(colours):
        pen.arc(box, index * sweep, (index + 1) * sweep, fill=(*colour, 255), width=thickness * OVERSAMPLE)
    core = _grown(box, -(radius - 2) * OVERSAMPLE)
    pen.ellipse(core, fill=(*colours[0], 255) if len(colours) == 1 else (240, 244, 250, 255))
    return smooth(image)


@cache
def flash_tile(radius: int = 26, colour: Rgb = (255, 59, 48)) -> Tile:
    """A contact: a red ring that glows."""
    x = np.arange(2 * radius) + 0.5 - radius
    away = np.hypot(x[None, :], x[:, None]) / radius
    glow = 0.55 * np.clip(1.0 - away, 0.0, 1.0) + np.clip(1.0 - np.abs(away - 0.72) / 0.10, 0.0, 1.0)
    tile = np.zeros((2 * radius, 2 * radius, 4), np.uint8)
    tile[..., :3] = colour
    tile[..., 3] = np.rint(255 * glow.clip(0.0, 1.0))
    return tile


def bar_tile(share: float) -> Tile:
    """Attention: a bar of which ``share`` in [0, 1], from the left, goes to neighbours and the rest to obstacles."""
    return _bar(round(_BAR_STEPS * min(max(share, 0.0), 1.0)))


@cache
def _bar(steps: int, width: int = 34, height: int = 7) -> Tile:
    image, pen = blank(width, height)
    w, h = width * OVERSAMPLE, height * OVERSAMPLE
    pen.rounded_rectangle((0, 0, w - 1, h - 1), radius=h / 2, fill=(8, 11, 18, 230))
    rim = OVERSAMPLE
    inner, split = w - 2 * rim, round((w - 2 * rim) * steps / _BAR_STEPS)
    mask = Image.new("L", (w, h), 0)
    ImageDraw.Draw(mask).rounded_rectangle((rim, rim, w - 1 - rim, h - 1 - rim), radius=h / 2 - rim, fill=255)
    parts = Image.new("RGBA", (w, h), (*OBSTACLE_RGB, 255))
    ImageDraw.Draw(parts).rectangle((0, 0, rim + split, h), fill=(*NEIGHBOUR_RGB, 255))
    if 0 < split < inner:
        ImageDraw.Draw(parts).rectangle((rim + split, 0, rim + split + OVERSAMPLE, h), fill=(8, 11, 18, 255))
    image.paste(parts, (0, 0), mask)
    return smooth(image)


def draw_words(canvas: Canvas, now: SwarmSnapshot, cut_m: float, scale: float, attention: bool) -> None:
    """Clock, counters and what the signs mean, all at the top.

    Args:
        canvas: to write on.
        now: what is counted.
        cut_m: height at which the cylinders are cut off.
        scale: how much larger than life the drones are.
        attention: whether the bars above the drones need a legend.
    """
    drones = len(now.position)
    arrived = np.linalg.norm(now.position - now.goal, axis=1) < now.goal_radius_m
    canvas.tile(text_tile(f"{now.time_s:5.2f} s", 24), (_EDGE_PX, 8))
    lines = [
        (f"within {now.goal_radius_m:g} m of the goal", f"{int(arrived.sum())} / {drones}", (226, 232, 240)),
        ("touched a drone or cylinder", f"{int(now.collided.sum())} / {drones}", (226, 232, 240)),
    ]
    if now.collided.any():
        lines[1] = (*lines[1][:2], _CONTACT_RGB)
    right = canvas.rgb.shape[1] - _EDGE_PX
    for row, (label, count, colour) in enumerate(lines):
        number, words = text_tile(count, 17, colour), text_tile(label, 14, _QUIET_RGB)
        canvas.tile(number, (right - number.shape[1], 8 + 24 * row))
        canvas.tile(words, (right - 64 - words.shape[1], 10 + 24 * row))
    canvas.tile(_legend(cut_m, scale, attention), (_EDGE_PX, 42))  # a player's controls lie at the bottom


@cache
def _legend(cut_m: float, scale: float, attention: bool) -> Tile:
    """What the signs mean and what isn't to scale, on a plate of its own."""
    rows = [[bar_tile(1.0), text_tile("attention to neighbours", 13, NEIGHBOUR_RGB)]] if attention else []
    rows += [[bar_tile(0.0), text_tile("attention to obstacles", 13, OBSTACLE_RGB)]] if attention else []
    rows += [[ring_tile((NEIGHBOUR_RGB,), 7, 2), text_tile("goal", 13)]]
    rows[-1] += [flash_tile(9), text_tile("contact", 13, _CONTACT_RGB)]
    notes = (
        f"drones drawn at {scale:g} times their size,",
        f"cylinders cut at {cut_m:.1f} m: they reach",
        "the ceiling",
    )
    rows += [[text_tile(note, 12, _QUIET_RGB)] for note in notes]
    pitch, pad = 19, 7
    width = max(sum(piece.shape[1] + pad for piece in row) for row in rows) + pad
    plate = Image.fromarray(_plate(width, pitch * len(rows) + 2 * pad))
    for index, row in enumerate(rows):
        left, middle = pad, pad + pitch * index + pitch // 2
        for piece in row:
            plate.alpha_composite(Image.fromarray(piece), (left, middle - piece.shape[0] // 2))
            left += piece.shape[1] + pad
    return np.asarray(plate)


def _plate(width: int, height: int) -> Tile:
    """Dark and see-through, with round corners."""
    image, pen = blank(width, height)
    corner = (width * OVERSAMPLE - 1, height * OVERSAMPLE - 1)
    pen.rounded_rectangle((0, 0, *corner), radius=8 * OVERSAMPLE, fill=(8, 11, 18, 150))
    return smooth(image)


def _grown(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)
