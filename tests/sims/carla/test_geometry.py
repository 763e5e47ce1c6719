"""Places and turns, beside CARLA's own."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haltere.sims.carla.geometry import Rotation, Transform, Vector, array, placed, rotation_matrix, rotation_of

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

angles = st.floats(-180.0, 180.0)
metres = st.floats(-500.0, 500.0)
rotations = st.builds(Rotation, st.floats(-89.0, 89.0), angles, angles)
transforms = st.builds(Transform, st.builds(Vector, metres, metres, metres), rotations)


def theirs(place: Transform) -> Any:  # noqa: ANN401 -- carla.Transform, where there is one
    """The same in CARLA's classes."""
    where, turned = place.location, place.rotation
    rotation = carla.Rotation(turned.pitch, turned.yaw, turned.roll)
    return carla.Transform(carla.Location(where.x, where.y, where.z), rotation)


@given(transforms)
def test_a_turn_is_carlas(place: Transform) -> None:
    """Column by column."""
    expected = np.array(theirs(place).get_matrix())[:3, :3]
    assert np.allclose(rotation_matrix(place.rotation), expected, atol=2e-5)


@given(transforms)
def test_a_turn_comes_back(place: Transform) -> None:
    """From its matrix, as another triple of angles perhaps."""
    matrix = rotation_matrix(place.rotation)
    assert np.allclose(rotation_matrix(rotation_of(matrix)), matrix, atol=1e-6)


@given(transforms, transforms)
def test_what_is_attached_goes_along(parent: Transform, child: Transform) -> None:
    """Its origin is where CARLA's parent takes it, and its axes are the parent's of its own."""
    found = placed(parent, child)
    moved = theirs(parent).transform(theirs(child).location)
    assert np.allclose(array(found.location), [moved.x, moved.y, moved.z], atol=5e-3)
    turned = rotation_matrix(parent.rotation) @ rotation_matrix(child.rotation)
    assert np.allclose(rotation_matrix(found.rotation), turned, atol=1e-6)
