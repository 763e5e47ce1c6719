"""What runs on the robot: an exported policy on numpy and ONNX Runtime alone, and the loop that flies it."""

from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.black_box import read_black_box
from haltere.deploy.runtime.governor import Decision, Mode, Outcome, Rules
from haltere.deploy.runtime.interface import Reading, Sink, Source
from haltere.deploy.runtime.limits import Limits
from haltere.deploy.runtime.loop import ControlLoop
from haltere.deploy.runtime.realtime import Realtime

__all__ = [
    "ControlLoop",
    "Decision",
    "Limits",
    "Mode",
    "OnnxActor",
    "Outcome",
    "Reading",
    "Realtime",
    "Rules",
    "Sink",
    "Source",
    "read_black_box",
]
