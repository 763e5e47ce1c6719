"""What runs on the robot: an exported policy on numpy and ONNX Runtime alone."""

from haltere.deploy.runtime.actor import OnnxActor

__all__ = ["OnnxActor"]
