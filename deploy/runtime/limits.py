"""What an actuator may be told: bounds, the largest change from one command to the next, and the safe action."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Contract

Vector = NDArray[np.float32]
PerComponent = float | Sequence[float]
"""One number for every component of the action, or one for each."""
LARGEST = 1e37
"""Magnitude of a bound. Beyond it, sums of commands overflow float32; no actuator has a scale like that."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds of A action components.

    Attributes:
        low: (A,) smallest command.
        high: (A,) largest command.
        safe: (A,) what to command when nothing better is known; within the bounds.
        step: (A,) largest change from one tick's command to the next; infinite where there is no limit.
    """

    low: Vector
    high: Vector
    safe: Vector
    step: Vector

    @staticmethod
    def of(
        contract: Contract,
        *,
        safe: PerComponent | None = None,
        slew: PerComponent | None = None,
        low: PerComponent | None = None,
        high: PerComponent | None = None,
    ) -> "Limits":
        """The contract's bounds, or tighter ones.

        Args:
            contract: of the model.
            safe: the safe action; the contract's where None. A contract without one has only ``action_low`` to offer:
                motors off for whatever commands thrust, so name another one for anything else.
            slew: largest rate of change [action units/s]; unlimited where None. It holds for the way to the safe
                action too.
            low: as the contract's where None, and never below it.
            high: as the contract's where None, and never above it.

        Raises:
            RequestError: a number is missing, isn't finite, or lies outside of the contract's bounds.
        """
        size = len(contract.action_low)
        least = _vector("action_low", contract.action_low, size)
        most = _vector("action_high", contract.action_high, size)
        lower = least if low is None else _vector("low", low, size)
        upper = most if high is None else _vector("high", high, size)
        _inside("low", lower, least, most)
        _inside("high", upper, lower, most)
        known = contract.safe_action if safe is None and contract.safe_action else safe
        chosen = lower if known is None else _vector("safe", known, size)
        _inside("safe", chosen, lower, upper)
        if slew is None:
            return Limits(lower, upper, chosen, np.full(size, np.inf, dtype=np.float32))
        return Limits(lower, upper, chosen, _step(slew, size, round(contract.ctrl_dt_s * 1e9) / 1e9))

    def apply(self, target: Vector, last: Vector) -> Vector:
        """The command nearest to ``target`` that the actuator may be told after ``last``.

        Args:
            target: (A,) finite.
            last: (A,) the command before, within the bounds.

        Returns:
            (A,) a new array that nobody can write to. Its distance from ``last`` is at most ``step`` exactly, not up to
            rounding.
        """
        # No change is larger than from bound to bound, which keeps infinity out of the arithmetic.
        before = last.astype(np.float64)
        change = np.minimum(self.step, 2.0 * (self.high.astype(np.float64) - self.low))
        floor = np.maximum(self.low, -_sum_rounded_down(-before, change))
        ceiling = np.minimum(self.high, _sum_rounded_down(before, change))
        # Adding zero makes -0 and +0 one, so that every language gives the same bits.
        command: Vector = np.minimum(np.maximum(target, floor), ceiling) + np.float32(0.0)
        command.flags.writeable = False  # the next one is measured from it, so a sink mustn't scale it in place
        return command


def _step(slew: PerComponent, size: int, period_s: float) -> Vector:
    """(A,) largest change in one period."""
    rate = np.broadcast_to(np.asarray(slew, dtype=np.float64), (size,)) if _fits(slew, size) else np.zeros(size)
    with np.errstate(over="ignore", under="ignore"):
        step = _rounded_down(rate * period_s)
    if not (step > 0.0).all():
        raise RequestError(f"slew: must be above 0, one number or {size}, got {slew}")
    return step


def _fits(value: PerComponent, size: int) -> bool:
    return np.ndim(value) == 0 or np.shape(value) == (size,)


def _vector(name: str, value: PerComponent, size: int) -> Vector:
    """(A,) float32 of a number for all components or one for each."""
    if not _fits(value, size):
        raise RequestError(f"{name}: must be one number or {size}, got {np.shape(value)[0]}")
    exact = np.broadcast_to(np.asarray(value, dtype=np.float64), (size,))
    if not (np.abs(exact) <= LARGEST).all():
        raise RequestError(f"{name}: must be a number of at most {LARGEST:g} in size, got {value}")
    return exact.astype(np.float32)


def _inside(name: str, vector: Vector, low: Vector, high: Vector) -> None:
    outside = np.flatnonzero((vector < low) | (vector > high))
    if outside.size:
        at = int(outside[0])
        raise RequestError(f"{name}: component {at} must be from {low[at]:g} to {high[at]:g}, got {vector[at]:g}")


def _rounded_down(exact: NDArray[np.float64]) -> Vector:
    """The largest float32 that isn't above; the nearest may pass a limit by half a unit of the last place."""
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)


def _sum_rounded_down(a: NDArray[np.float64], b: NDArray[np.float64]) -> Vector:
    """The largest float32 that isn't above the exact sum of two finite float64.

    The sum rounded to float64 may itself pass the exact one, and be a float32. Source of its error term: Knuth, The
    Art of Computer Programming 2, 4.2.2, theorem B.
    """
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    near = total.astype(np.float32)
    above = (near > total) | ((near == total) & (error < 0.0))
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near)
