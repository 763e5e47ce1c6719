"""What the agents sense: themselves, the boxes around them, what is shown, and what they are told."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray
from haltere.sims.mujoco.rooms.constants import BOXES, CALM, DIRECTIONS, SCREEN_PLACE, SCREENS, WORDS
from haltere.sims.mujoco.rooms.draws import FloatArray
from haltere.sims.mujoco.rooms.worlds import TOWARDS, Worlds
from haltere.sims.things import COLOURS, SHAPES

SELF_SIZE, BOX_SIZE = 7, 3
_LEAST_M = 1e-9
THING_SIZE = len(SHAPES) + len(COLOURS)
SIZES = {
    "self": SELF_SIZE,
    "boxes": BOXES * BOX_SIZE,
    "screens": SCREENS,
    "shown": THING_SIZE,
    "where": 2,
    "instruction": len(WORDS),
}
UNITS = {
    "self": "in the room's frame: cosine and sine of the heading, x and y from the middle [m]; in the body's: velocity "
    "forward and left [m/s], yaw rate [rad/s]",
    "boxes": "eight times: the direction of the box in the body's frame, forward and left, as a vector of length 1 / "
    "distance [1/m], and 1 where it is open; zeros where there is no box",
    "screens": "1 where the screen on that wall is open, 0 elsewhere",
    "shown": f"1 at the shape and 1 at the colour of what is shown, zeros where all is closed: {', '.join(WORDS[1:])}",
    "where": "forward and left from the agent to what is shown, box or screen [m]; zeros where all is closed",
    "instruction": f"1 at each word in force, {CALM!r} or a shape and a colour: {', '.join(WORDS)}",
    "action": f"a score for each direction of the body, the largest is walked in: {', '.join(DIRECTIONS)}; ignored "
    "until the agent is asked",
}

Float32Array = NDArray[np.float32]


def _names() -> Float32Array:
    """Shape and colour of each object, (286, 34); zeros for no object, which comes last."""
    shape, colour = np.divmod(np.arange(len(SHAPES) * len(COLOURS)), len(COLOURS))
    names = np.concatenate([np.eye(len(SHAPES))[shape], np.eye(len(COLOURS))[colour]], axis=1)
    return np.concatenate([names, np.zeros((1, THING_SIZE))]).astype(np.float32)


_NAMES = _names()


def observe(worlds: Worlds, by_bearing: bool) -> dict[str, Float32Array]:
    """Everything that W agents sense now, (W, n) each; see ``SIZES`` and ``UNITS``.

    Args:
        worlds: the rooms.
        by_bearing: boxes come counter-clockwise from ahead instead of by their number.
    """
    box, screen, thing = worlds.shown()
    heading = worlds.heading
    asked = worlds.acts
    instruction = np.zeros((len(asked), len(WORDS)), np.float32)
    instruction[:, 0] = ~asked
    instruction[:, 1:] = np.where(asked[:, None], _NAMES[worlds.asked], np.float32(0.0))
    return {
        "self": _self(worlds, heading),
        "boxes": _boxes(worlds, heading, box, by_bearing),
        "screens": (screen[:, None] == np.arange(SCREENS)).astype(np.float32),
        "shown": _NAMES[thing],
        "where": _where(worlds, heading, box, screen),
        "instruction": instruction,
    }


def answer(worlds: Worlds) -> IntArray:
    """The direction that leads straight to the right box, (W,), as nearly as there is one."""
    ahead, left = in_body(worlds.heading, worlds.to_target())
    score = ahead[:, None] * TOWARDS[:, 0] + left[:, None] * TOWARDS[:, 1]
    best: IntArray = score.argmax(axis=1)
    return best


def in_body(heading: FloatArray, vector: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Parts forward and left of a vector of the room; (..., 2) both, with axes that broadcast."""
    cos, sin, x, y = heading[..., 0], heading[..., 1], vector[..., 0], vector[..., 1]
    return cos * x + sin * y, cos * y - sin * x


def _self(worlds: Worlds, heading: FloatArray) -> Float32Array:
    ahead, left = in_body(heading, worlds.motion[:, :2])
    return np.column_stack([heading, worlds.place, ahead, left, worlds.motion[:, 2]]).astype(np.float32)


def _where(worlds: Worlds, heading: FloatArray, box: IntArray, screen: IntArray) -> Float32Array:
    row = np.arange(len(box))
    place = np.where(box[:, None] >= 0, worlds.layout.place[row, box], SCREEN_PLACE[screen])
    ahead, left = in_body(heading, place - worlds.place)
    closed = (box < 0) & (screen < 0)
    where: Float32Array = np.where(closed[:, None], 0.0, np.stack([ahead, left], axis=1)).astype(np.float32)
    return where


def _boxes(worlds: Worlds, heading: FloatArray, opened: IntArray, by_bearing: bool) -> Float32Array:
    ahead, left = in_body(heading[:, None], worlds.to_box())
    square = np.maximum(ahead**2 + left**2, _LEAST_M**2)
    each = np.stack([ahead / square, left / square, opened[:, None] == np.arange(BOXES)], axis=-1).astype(np.float32)
    there = np.arange(BOXES) < worlds.layout.boxes[:, None]
    each[~there] = 0.0
    if by_bearing:
        order = np.where(there, _quarters(ahead, left), np.inf).argsort(axis=1, kind="stable")
        each = np.take_along_axis(each, order[..., None], axis=1)
    return each.reshape(len(each), -1)


def _quarters(ahead: FloatArray, left: FloatArray) -> FloatArray:
    """Grows with the angle from ahead, from 0 to 4 in a turn; exact arithmetic, where an arctangent is rounded."""
    part = left / np.maximum(abs(ahead) + abs(left), _LEAST_M)
    return np.where(ahead < 0.0, 2.0 - part, np.where(left < 0.0, 4.0 + part, part))
