"""All that is seen of a town: its roads, what rules them, and what grows beside them."""

from collections.abc import Sequence

import numpy as np

from haltere.sims.carla.geometry import BoundingBox
from haltere.sims.carla.scene import Ground, Scene
from haltere.sims.carla.towns.growth import Growth, frontages
from haltere.sims.carla.towns.lanes import Strip
from haltere.sims.carla.towns.plots import Plots
from haltere.sims.carla.towns.shapes import Places, Shapes
from haltere.sims.carla.towns.surface import across, fill, land, mark, pave, zebra
from haltere.sims.carla.towns.things import Things
from haltere.sims.carla.towns.town import Sign, TrafficLight

STOP_LINE_M, SLOT_LINE_M = 0.4, 0.1


def scene_of(
    strips: Sequence[Strip],
    crosswalks: Sequence[Places],
    ground: Ground,
    ruling: tuple[Sequence[TrafficLight], Sequence[Sign], Sequence[BoundingBox]],
    seed: int,
) -> Scene:
    """Triangles and things.

    Args:
        strips: all lanes of the map.
        crosswalks: outlines of its crosswalks.
        ground: its heights.
        ruling: lights and signs that stand in it, and slots to park in.
        seed: of what grows.
    """
    shapes, chance = Shapes(), np.random.default_rng(seed)
    land(shapes, np.concatenate([strip.outline for strip in strips]), ground, chance)
    pave(shapes, strips)
    fill(shapes, strips)
    mark(shapes, strips)
    for outline in crosswalks:
        zebra(shapes, outline)
    lights, signs, slots = ruling
    for slot in slots:
        across(shapes, _slot_lines(slot), SLOT_LINE_M)
    things = Things(shapes, chance)
    for light in lights:
        foot = light.place.location
        things.traffic_light(light.signal, (foot.x, foot.y, foot.z), light.place.rotation.yaw)
        across(shapes, _stop_line(light), STOP_LINE_M)
    for sign in signs:
        foot = sign.place.location
        things.sign(sign.kind, sign.signal, (foot.x, foot.y, foot.z), sign.place.rotation.yaw)
    Growth(things, Plots(strips), ground, chance).grow(list(frontages(strips)))
    return Scene(shapes.mesh(), tuple(things.made), ground)


def _slot_lines(slot: BoundingBox) -> Places:
    """(4, 3), around it but for where vehicles come in."""
    turned, x, y = np.radians(slot.rotation.yaw), slot.extent.x, slot.extent.y
    flat = np.array([(-x, -y), (x, -y), (x, y), (-x, y)]) @ [
        [np.cos(turned), np.sin(turned)],
        [-np.sin(turned), np.cos(turned)],
    ]
    middle = slot.location
    return np.column_stack([flat + np.array([middle.x, middle.y]), np.full(4, middle.z)])


def _stop_line(light: TrafficLight) -> Places:
    """(2, 3), across the end of the box in which vehicles are told of the light."""
    box = light.stops
    turned = np.radians(box.rotation.yaw)
    ahead, right = np.array([np.cos(turned), np.sin(turned), 0.0]), np.array([-np.sin(turned), np.cos(turned), 0.0])
    end = np.array([box.location.x, box.location.y, box.location.z]) + ahead * (box.extent.x - STOP_LINE_M)
    return np.stack([end - right * box.extent.y, end + right * box.extent.y])
