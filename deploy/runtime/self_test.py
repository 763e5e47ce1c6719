"""Parts to try a control loop with, without a robot: observations, a sink, stalls, a busy neighbour."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.runtime.black_box import Recording
from haltere.deploy.runtime.governor import Decision, Outcome
from haltere.deploy.runtime.interface import Acting, Reading
from haltere.deploy.runtime.realtime import available_cores

_DISTINCT = 64
_CALLS_BETWEEN_STALLS = 12
_STALL_PERIODS = 2.5
"""Past the deadline by more than a period, and short enough that the default rules only hold."""


def _compute(seconds: float) -> None:
    """Keep Python's lock as code does that computes in Python: it is let go of only when the interpreter says so."""
    until_ns = time.monotonic_ns() + round(seconds * 1e9)
    while time.monotonic_ns() < until_ns:
        pass


_NEIGHBOUR = """
import os, sys
parent, here = int(sys.argv[1]), bytearray(8 << 20)
there = bytes(len(here))
while os.getppid() == parent:
    here[:] = there
    sum(i * i for i in range(100_000))
"""


class CannedSource:
    """Observations prepared before, one after the other, again and again, stamped with the time of reading.

    Attributes:
        tensors: the contract's own.
    """

    def __init__(self, contract: Contract, observations: list[dict[str, NDArray[Any]]]) -> None:
        """Take them; there must be one at least."""
        self.tensors: tuple[Tensor, ...] = contract.sensed
        self._observations, self._next = observations, 0

    def read(self) -> Reading:
        """The next one."""
        obs = self._observations[self._next]
        self._next = (self._next + 1) % len(self._observations)
        return Reading(obs, time.monotonic_ns())


def random_source(contract: Contract, seed: int) -> CannedSource:
    """Standard normal numbers in the contract's shapes."""
    generator = np.random.default_rng(seed)
    observations: list[dict[str, NDArray[Any]]] = [
        {
            tensor.name.removeprefix("obs."): generator.standard_normal(tensor.shape, dtype=np.float32)
            for tensor in contract.sensed
        }
        for _ in range(_DISTINCT)
    ]
    return CannedSource(contract, observations)


def recorded_source(contract: Contract, recording: Recording) -> CannedSource:
    """The observations of a black box, those that were none left out.

    Raises:
        RequestError: they aren't the contract's, or there are none.
    """
    wanted = {tensor.name.removeprefix("obs."): tensor.shape for tensor in contract.sensed}
    got = {key: array.shape[1:] for key, array in recording.obs.items()}
    if got != wanted:
        raise RequestError(f"the recording has observations {got}, the model takes {wanted}")
    rows = range(len(recording.command))
    observations: list[dict[str, NDArray[Any]]] = [
        {key: np.ascontiguousarray(array[row]) for key, array in recording.obs.items()} for row in rows
    ]
    kept = [obs for obs in observations if all(np.isfinite(array).all() for array in obs.values())]
    if not kept:
        raise RequestError("the recording has no finite observation")
    return CannedSource(contract, kept)


class NullSink:
    """Takes every command and moves nothing.

    Attributes:
        tensor: the contract's own.
    """

    def __init__(self, contract: Contract) -> None:
        """Declare what the contract does."""
        self.tensor = contract.outputs[0]

    def send(self, decision: Decision) -> None:
        """Nobody is there."""


class StallTest:
    """An actor that gets stuck now and then, and the sink that sees how soon the watchdog stands in for it.

    Attributes:
        tensor: the contract's own.
        stalls: how often it got stuck.
        caught_ns: from each stall's beginning to the watchdog's first command.
    """

    def __init__(self, actor: Acting, contract: Contract, count: int) -> None:
        """Wrap an actor; it will get stuck ``count`` times, for two and a half periods each.

        It computes in Python the first time, sleeps the second, as what waits for a device does, and so on.
        """
        self.tensor = contract.outputs[0]
        self._actor, self._count, self._stall_s = actor, count, _STALL_PERIODS * contract.ctrl_dt_s
        self._calls = self._since_ns = self.stalls = 0
        self.caught_ns: list[int] = []

    @property
    def ticks(self) -> int:
        """About how long the whole test takes."""
        return self._count * (_CALLS_BETWEEN_STALLS + 4) + 2 * _CALLS_BETWEEN_STALLS

    def reset(self) -> None:
        """As the actor's."""
        self._actor.reset()

    def act(self, obs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """As the actor's, sooner or later."""
        self._calls += 1
        if self._calls % _CALLS_BETWEEN_STALLS == 0 and self.stalls < self._count:
            self.stalls += 1
            self._since_ns = time.monotonic_ns()
            if self.stalls % 2:
                _compute(self._stall_s)
            else:
                time.sleep(self._stall_s)
            self._since_ns = 0
        return self._actor.act(obs)

    def send(self, decision: Decision) -> None:
        """Note when the watchdog's first command of a stall comes."""
        if self._since_ns and decision.outcome is Outcome.STALLED:
            self.caught_ns.append(time.monotonic_ns() - self._since_ns)
            self._since_ns = 0

    def as_dict(self, period_ns: int) -> dict[str, Any]:
        """How many stalls there were, how many were caught within 1.5 periods, and the slowest catch [periods]."""
        periods = [caught / period_ns for caught in self.caught_ns]
        return {
            "injected": self.stalls,
            "caught": sum(value <= 1.5 for value in periods),
            "worst_periods": max(periods, default=None),
        }


@contextmanager
def busy_neighbour(cpu: int | None) -> Iterator[int]:
    """While entered, another process computes and copies without rest on a core that isn't ours.

    Args:
        cpu: the core that the loop is pinned to; where None, the neighbour takes the last one there is.

    Yields:
        The neighbour's core.

    Raises:
        RequestError: there is only one core.
    """
    cores = available_cores() or set()
    others = sorted(cores - {cpu})
    if len(cores) < 2 or not others:
        raise RequestError(f"busy neighbour: needs a second core, and this process may run on {len(cores)}")
    # A session of its own, so that Ctrl-C reaches the loop alone; and it ends by itself should we be killed.
    process = subprocess.Popen([sys.executable, "-c", _NEIGHBOUR, str(os.getpid())], start_new_session=True)
    try:
        os.sched_setaffinity(process.pid, {others[-1]})
        yield others[-1]
    finally:
        process.kill()
        process.wait()
