"""Robots made of a few lines: a contract, a clock that a test sets, sources and sinks that do as they are told."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.bench.process import load_average
from haltere.deploy.contract import FORMAT, Contract, Parity, Tensor
from haltere.deploy.runtime import ControlLoop, Decision, Limits, Outcome, Realtime

PERIOD_NS = 10_000_000
INPUTS = (Tensor("obs.position", (3,), unit="m, world frame"), Tensor("obs.range", (2, 2), unit="distance [m]"))
ACTION = Tensor("action", (2,), unit="thrust fraction")


def toy_contract(**changes: Any) -> Contract:  # noqa: ANN401 (any field)
    """Seven numbers in, two out, at 100 Hz."""
    fields: dict[str, Any] = {
        "format": FORMAT,
        "haltere": "0.0.0",
        "task": "toy/Toy-v0",
        "policy": "toy",
        "ctrl_dt_s": PERIOD_NS * 1e-9,
        "inputs": INPUTS,
        "outputs": (ACTION,),
        "state": (),
        "action_low": (-1.0, -0.5),
        "action_high": (1.0, 2.0),
        "weights": "0" * 64,
        "parity": Parity(1e-5, 0.0, 1, (1,)),
    }
    return Contract(**{**fields, **changes})


class FakeClock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        """At zero."""
        self.time_ns = 0

    def now_ns(self) -> int:
        """The time."""
        return self.time_ns

    def sleep_ns(self, duration_ns: int) -> None:
        """Jump."""
        self.time_ns += duration_ns


class Doubling:
    """A policy: twice the first two numbers of the position. It fails where the third is 77."""

    def __init__(self) -> None:
        """Never asked."""
        self.resets = 0
        self.before: Callable[[], None] = lambda: None

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Double, which overflows for the largest numbers."""
        self.before()
        position = obs["position"]
        if position[0, 2] == 77.0:
            raise ValueError("seventy-seven")
        with np.errstate(over="ignore"):
            return {"action": position[:, :2] * np.float32(2.0)}


class Told:
    """A source that returns, or raises, what a test put into ``following``; the last of it again and again."""

    tensors = INPUTS

    def __init__(self, *following: Any) -> None:  # noqa: ANN401 (hostile on purpose)
        """Take what is to be returned."""
        self.following = list(following)

    def read(self) -> Any:  # noqa: ANN401
        """The next thing."""
        thing = self.following.pop(0) if len(self.following) > 1 else self.following[0]
        if callable(thing):
            thing = thing()
        if isinstance(thing, Exception):
            raise thing
        return thing


class Noting:
    """A sink that keeps every decision; it fails for those that ``refuse`` says."""

    tensor = ACTION

    def __init__(self) -> None:
        """Nothing kept."""
        self.decisions: list[Decision] = []
        self.refuse: Callable[[int], bool] = lambda index: False

    def send(self, decision: Decision) -> None:
        """Keep it."""
        self.decisions.append(decision)
        if self.refuse(len(self.decisions) - 1):
            raise OSError("the bus is down")

    @property
    def outcomes(self) -> list[Outcome]:
        """How each tick ended."""
        return [decision.outcome for decision in self.decisions]


def observation(x: float = 0.1, y: float = 0.2, z: float = 0.0) -> dict[str, NDArray[np.float32]]:
    """One that fits."""
    return {"position": np.array([x, y, z], np.float32), "range": np.zeros((2, 2), np.float32)}


def toy_loop(
    source: Any,  # noqa: ANN401 (hostile on purpose)
    sink: Noting | None = None,
    *,
    slew: float | None = None,
    contract: Contract | None = None,
    **rest: Any,  # noqa: ANN401
) -> tuple[ControlLoop, Noting, FakeClock, Doubling]:
    """A loop of toys on a fake clock, with its parts."""
    contract, sink, clock, actor = contract or toy_contract(), sink or Noting(), FakeClock(), Doubling()
    limits = Limits.of(contract, slew=slew, safe=[0.0, 0.5])
    loop = ControlLoop(actor, contract, source, sink, limits, **{"clock": clock, **rest})
    return loop, sink, clock, actor




def fifo() -> Realtime:
    """The priority that measurements in real time want; without permission the fair scheduler must do."""
    try:
        with Realtime(priority=80).quiet(PERIOD_NS):
            return Realtime(priority=80)
    except RequestError:
        return Realtime()


def conditions(realtime: Realtime) -> str:
    """What a measured latency depends on, to stand beside it."""
    priority = "no priority" if realtime.priority is None else f"SCHED_FIFO {realtime.priority}"
    load = load_average()
    return f"{priority}, load average {'unknown' if load is None else f'{load:.2f}'}"
