"""A model of one matrix, exported without torch in a moment, and the robot that goes with it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from haltere.deploy.contract import FORMAT, Contract, Parity, Tensor
from haltere.deploy.onnx_file import seal

INPUTS = (Tensor("obs.position", (3,), unit="m, world frame"), Tensor("obs.range", (2, 2), unit="distance [m]"))
ACTION = Tensor("action", (2,), unit="thrust fraction")

ROBOT = '''
"""Source and sink of a robot that writes down what it is told."""
import json, os, time
import numpy as np
from haltere.deploy.contract import Tensor
from haltere.deploy.runtime import Reading

POSITION = Tensor("obs.position", (3,), unit="m, world frame")
RANGE = Tensor("obs.range", (2, 2), unit="distance [m]")


class Camera:
    tensors = (POSITION, RANGE)

    def read(self):
        obs = {"position": np.ones(3, np.float32), "range": np.ones((2, 2), np.float32)}
        return Reading(obs, time.monotonic_ns())


class Motors:
    tensor = Tensor("action", (2,), unit="thrust fraction")

    def send(self, decision):
        with open("commands.jsonl", "a") as file:
            file.write(json.dumps([decision.mode.name, *map(float, decision.command)]) + "\\n")


class Newtons(Motors):
    tensor = Tensor("action", (2,), unit="N")


class Frozen(Camera):
    def read(self):
        if os.path.exists("commands.jsonl") and os.path.getsize("commands.jsonl") > 200:
            open("frozen", "w").close()
            time.sleep(1000)
        return super().read()


def frozen(contract):
    return Frozen()


def camera(contract):
    return Camera()


def motors(contract):
    return Motors()


def newtons(contract):
    return Newtons()


def nothing(contract):
    return None
'''


def toy_model(path: Path, period_s: float = 0.01) -> Path:
    """Action = tanh(position · W); the second observation isn't used."""
    weights = np.array([[0.5, -0.5], [0.25, 0.5], [0.0, 1.0]], np.float32)
    inputs = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, ["batch", *t.shape]) for t in INPUTS]
    output = helper.make_tensor_value_info(ACTION.name, TensorProto.FLOAT, ["batch", *ACTION.shape])
    nodes = [
        helper.make_node("MatMul", ["obs.position", "weights"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["action"]),
    ]
    graph = helper.make_graph(nodes, "toy", inputs, [output], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    bounds = (-1.0, -1.0), (1.0, 1.0)
    contract = Contract(
        *(FORMAT, "0.0.0", "toy/Toy-v0", "toy", period_s, INPUTS, (ACTION,), ()),
        *(*bounds, "0" * 64, Parity(1e-5, 0.0, 1, (1,))),
    )
    path.write_bytes(seal(model.SerializeToString(), contract))
    return path
