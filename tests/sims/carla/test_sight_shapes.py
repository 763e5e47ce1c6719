"""Shapes fill their boxes, say what they are, and can be seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.configs.errors import RequestError
from haltere.sims.carla.drive.vehicles import VEHICLES
from haltere.sims.carla.geometry import Rotation, Transform, Vector
from haltere.sims.carla.scene import NOTHING, Label
from haltere.sims.carla.server.world.props import PROPS, WALKERS
from haltere.sims.carla.sight.frames import Camera, CameraKind, Movers
from haltere.sims.carla.sight.shapes import KINDS, shape_of
from haltere.sims.carla.sight.sight import Sight

from . import scenes

SPAWNED = {
    **{vehicle.name: (vehicle.shape, vehicle.extent, vehicle.labels) for vehicle in VEHICLES},
    **{walker.name: ("walker", walker.extent, (Label.PEDESTRIANS,)) for walker in WALKERS},
    **{prop.name: (prop.shape, prop.extent, (prop.label,)) for prop in PROPS},
}


@given(kind=st.sampled_from(KINDS), half=st.tuples(*[st.floats(0.05, 8)] * 3))
@settings(deadline=None, max_examples=80)
def test_a_shape_fills_its_box(kind: str, half: tuple[float, float, float]) -> None:
    """Whatever size it is given: from the ground up, the origin in the middle, all triangles whole."""
    shape = shape_of(kind, Vector(*half))
    points, mesh = shape.mesh.vertices, shape.mesh
    assert np.allclose(points.min(axis=0), [-half[0], -half[1], 0], atol=1e-4)
    assert np.allclose(points.max(axis=0), [half[0], half[1], 2 * half[2]], atol=1e-4)
    assert 12 <= len(mesh.triangles) <= 250
    assert len(mesh.colors) == len(mesh.labels) == len(mesh.things) == len(shape.painted) == len(mesh.triangles)
    assert (mesh.things == NOTHING).all()
    assert mesh.triangles.max() < len(points)


@pytest.mark.parametrize("name", SPAWNED)
def test_whatever_can_be_spawned_can_be_drawn(name: str) -> None:
    """From all sides, with its labels and no other, where it stands and as large as it is."""
    kind, extent, labels = SPAWNED[name]
    shape = shape_of(kind, extent, labels)
    assert set(shape.mesh.labels) == set(labels)
    sight = Sight(scenes.scene_of(scenes.mesh([], [], (0, 0, 0), 0)), 1)
    moved = Movers(np.array([sight.add_shape(shape)], np.int32), np.eye(3)[None], np.array([[100.0, 0, 0]]))
    half = max(extent.x, extent.y, extent.z)
    fov = 2 * np.degrees(np.arctan(1.6 * half / 30))
    for yaw in (0, 90, 180, 270):
        turn = np.radians(yaw)
        place = Transform(Vector(100 - 30 * np.cos(turn), -30 * np.sin(turn), extent.z), Rotation(0, yaw, 0))
        label = sight.draw([Camera(CameraKind.SEMANTIC, place, 160, 160, fov)], moved)[0][..., 2]
        rows, columns = np.nonzero(label != Label.SKY)
        assert set(np.unique(label)) - {Label.SKY} <= set(labels)
        wide, metre = (extent.x if yaw % 180 else extent.y), 80 / (1.6 * half)
        # What is nearer than its middle looks a little larger.
        nearer = 30 / (30 - half)
        assert 2 * wide * metre - 3 <= np.ptp(columns) + 1 <= 2 * wide * metre * nearer + 2
        assert 2 * extent.z * metre - 3 <= np.ptp(rows) + 1 <= 2 * extent.z * metre * nearer + 2


def test_riders_are_told_from_what_they_ride() -> None:
    """Their labels are the second ones."""
    for kind, label in (("motorcycle", Label.MOTORCYCLE), ("bicycle", Label.BICYCLE)):
        assert set(shape_of(kind, Vector(1.0, 0.4, 0.8)).mesh.labels) == {label, Label.RIDER}
    assert set(shape_of("bicycle", Vector(1.0, 0.4, 0.8), (Label.STATIC,)).mesh.labels) == {Label.STATIC, Label.RIDER}


@pytest.mark.parametrize("kind", ["car", "suv", "van", "truck", "bus", "motorcycle", "bicycle"])
def test_head_lights_are_ahead(kind: str) -> None:
    """White at the front of what drives by night, red behind; paint is on it somewhere."""
    shape = shape_of(kind, Vector(2.2, 0.9, 1.4))
    middle = shape.mesh.vertices[shape.mesh.triangles].mean(axis=1)
    red = (shape.mesh.colors == (190, 22, 22)).all(axis=1)
    white = (shape.mesh.colors == (245, 245, 235)).all(axis=1)
    assert shape.painted.any()
    if kind != "bicycle":
        assert (middle[white, 0] > 0).all()
        assert white.any()
        assert (middle[red, 0] < 0).all()
        assert red.any()


def test_what_there_is_not_is_refused() -> None:
    """With the nearest name, or the size that was given."""
    with pytest.raises(RequestError, match="did you mean 'truck'"):
        shape_of("trck", Vector(1, 1, 1))
    with pytest.raises(RequestError, match="positive"):
        shape_of("car", Vector(1, 0, 1))
