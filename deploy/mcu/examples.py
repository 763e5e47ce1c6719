"""Firmware that a written policy comes with, by the task that it was trained for."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from haltere.deploy.contract import Contract
from haltere.deploy.mcu.c_text import number
from haltere.sims.mujoco.swarm.constants import QUADROTOR

_EXAMPLES = {"haltere/SwarmForest-v0": "crazyflie"}
_CONSTANTS = {"@FULL_THRUST_N@": QUADROTOR.motor_thrust_n}


def example(contract: Contract) -> Mapping[str, str]:
    """Text of each file by its path in the written folder; none where no robot is known that does the task."""
    name = _EXAMPLES.get(contract.task)
    if name is None:
        return {}
    return {path: _filled(path, text) for path, text in _files(files("haltere.deploy.mcu").joinpath(name), name)}


def _filled(path: str, text: str) -> str:
    for mark, value in _CONSTANTS.items():
        text = text.replace(mark, f"{value:.4g}" if path.endswith(".md") else number(value))
    return text


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    for item in folder.iterdir():
        inside = f"{path}/{item.name}"
        if item.is_dir():
            yield from _files(item, inside)
        else:
            yield inside, item.read_text(encoding="utf-8")
