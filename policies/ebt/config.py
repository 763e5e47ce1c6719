"""What can be set about the energy-based policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

_TRAINING = ("near", "inner_steps", "inner_steps_extra", "jitter", "langevin")


@dataclass(frozen=True)
class EbtConfig:
    """EBT-Policy: a network that says how ill a chunk suits what is sensed, and steps down its gradient.

    Attributes:
        type: discriminator in a task's YAML.
        observed: steps that are seen, the present one among them.
        horizon: commands of a chunk, the first one for now.
        executed: of those, how many are carried out before a new chunk is planned; at most ``horizon``.
        start: what a chunk begins with in training. ``noise``, as published: a step then leads all of the way. Such
            noise knows nothing of the demonstration, so the least squared error is that of the demonstrations' mean.
            ``between``: a point drawn evenly between noise and the demonstration (Wang and Du 2025, arXiv:2510.02300,
            with a linear decay), so that each of several ways is a valley of its own; a refinement then goes an even
            part of the way.
        near: with ``start`` ``between``, how often a chunk begins near the demonstration: the share of noise in it is
            an even number from 0 to 1 to this power. At 1 the network is hardly ever asked about small noise;
            docs/push-t.md has what 4 changes there.
        inner_steps: steps down the gradient that a chunk takes in training; 2 with ``start`` ``noise``, as published.
        inner_steps_extra: up to so many more, a number drawn for each update.
        refinements: steps that it takes once trained, a call of the network each. The same weights do with any number.
        pace: with ``start`` ``between``, when the way is gone: after a share s of the refinements (1 - s)^pace of it is
            left. 1 goes even parts. Noise that is small beside the commands is near the end of the way, so that more
            goes more carefully where it is decided which of several ways to take.
        settled: a chunk is left as it is once the energy's slope falls below this, ``gradient`` of the outputs; 0 for
            never.
        alpha: length of a step, as a multiple of the gradient.
        jitter: in training each demonstration's steps are longer or shorter by a factor up to this; 1 for none.
        langevin: standard deviation of the noise that training adds to a chunk before each step but the first.
        width: units of each layer; a multiple of ``heads``.
        layers: of the transformer.
        heads: of its attention.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["ebt"] = "ebt"
    observed: Annotated[int, Ge(1), Le(16)] = 2
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    start: Literal["between", "noise"] = "between"
    near: Annotated[float, Ge(1), Le(10)] = 1.0
    inner_steps: Annotated[int, Ge(1), Le(100)] = 1
    inner_steps_extra: Annotated[int, Ge(0), Le(100)] = 0
    refinements: Annotated[int, Ge(1), Le(1000)] = 10
    pace: Annotated[float, Ge(1), Le(10)] = 2.0
    settled: Annotated[float, Ge(0)] = 0.0
    alpha: Annotated[float, Gt(0)] = 3.0
    jitter: Annotated[float, Ge(1), Le(100)] = 1.0
    langevin: Annotated[float, Ge(0), Le(10)] = 0.05
    width: Annotated[int, Ge(1), Le(1024)] = 128
    layers: Annotated[int, Ge(1), Le(16)] = 4
    heads: Annotated[int, Ge(1), Le(64)] = 4

    def without_effect(self, training: bool) -> Mapping[str, str]:
        """Setting -> why it does nothing beside the others; see ``haltere.policies.registry``."""
        idle = {}
        if self.start == "noise":
            idle["pace"] = "divides the way up, and with policy.start noise every refinement goes all of it"
            idle["near"] = "says how near a demonstration training begins, and with policy.start noise it never does"
        if self.refinements == 1:
            idle["settled"] = "spares a chunk's further refinements, and there is one alone"
            idle["pace"] = "divides the way up among refinements, and there is one alone"
        if self.inner_steps + self.inner_steps_extra == 1:
            idle["langevin"] = "is noise between two inner steps, and there is one alone"
        if training:
            return idle
        return idle | {name: "matters in training alone" for name in _TRAINING}
