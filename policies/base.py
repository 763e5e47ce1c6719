"""The Policy noun: a pure network from observations and state to outputs and state, batch first.

A policy knows no simulator, no trainer and no file format. Whatever it remembers is in ``State``, an explicit
dictionary of tensors that goes in and comes out, so that the same network runs in torch, ONNX and C.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Obs = dict[str, Tensor]
State = dict[str, Tensor]
Output = dict[str, Tensor]
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Signature:
    """What one lane senses and commands; the batch axis isn't part of it.

    Attributes:
        obs: shape of each observation, by name, in the order in which the task gives them.
        action: number of action components.
    """

    obs: Mapping[str, tuple[int, ...]]
    action: int


class ReadPlaces(NamedTuple):
    """What lies in the R places of a memory that the output ``read`` (B, R) gives the share of attention on.

    Step n of an episode, from 0, lies in place (n // steps) modulo R.

    Attributes:
        steps: of each place; 0 where there is no such output.
        after: a place can be read so many steps after the last one that it takes up.
    """

    steps: int = 0
    after: int = 0


class Chunking(NamedTuple):
    """The loop around a policy that plans a chunk of commands, of which a call is one refinement.

    Attributes:
        observed: steps that a call sees, the present one last.
        horizon: commands of a chunk, the first one for now.
        executed: of those, how many are carried out before a new chunk is planned.
        refinements: calls that a chunk takes.
        draws: chunks of standard normal numbers that a call takes as ``NOISE`` (draws, horizon, action): none, one
            that a chunk begins with, or a second one as well, drawn anew for each refinement, which adds it.
        settled: a chunk isn't refined further once the output ``gradient`` (B, 1) is below this; 0 for never.
    """

    observed: int
    horizon: int
    executed: int
    refinements: int = 1
    draws: int = 0
    settled: float = 0.0


NOISE = "noise"
"""The input that a runtime draws."""


class Policy(nn.Module, Generic[ConfigT]):
    """Base of every network. A subclass is ``policies/<name>/model.py`` with its typed ``config.py`` beside it.

    ``haltere.policies.registry`` says what a configuration may tell about its settings.

    ``forward`` returns at least ``"action"`` of shape (B, action); every further output is exported as ``aux.<key>``.

    Attributes:
        bounds: settings that the same trained weights do with any value of, such as how much is remembered.
    """

    bounds: tuple[str, ...] = ()

    def __init__(self, config: ConfigT, signature: Signature) -> None:
        """Keep the configuration and the signature; a subclass builds its layers after calling this."""
        super().__init__()
        self.config = config
        self.signature = signature

    @property
    def rings(self) -> tuple[str, ...]:
        """Names of states of which a step changes one row alone, and which it reads only after that.

        A step that is made again from the other states writes the same row again. A runtime may therefore let input and
        output of such a state share their memory, and so spare a copy of everything that is remembered.
        """
        return ()

    @property
    def read_places(self) -> ReadPlaces:
        """What the output ``read`` is about, for a policy that has one."""
        return ReadPlaces()

    @property
    def chunking(self) -> Chunking | None:
        """The loop around this policy; None where a call is a control step."""
        return None

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of everything that ``forward`` takes as observations, of one lane, by name."""
        return self.signature.obs

    def initial_state(self, batch: int) -> State:
        """State before the first observation, each tensor (B, ...). Stateless policies return an empty dictionary."""
        return {}

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One control step for B lanes.

        Args:
            obs: each observation (B, *inputs[name]), float32.
            state: what ``initial_state`` or the last step returned.

        Returns:
            The outputs, ``"action"`` (B, signature.action) in [-1, 1] among them, and the next state.
        """
        raise NotImplementedError

    def step(self, obs: Obs, state: State, *, reuse: bool = False) -> tuple[Output, State]:
        """The same; with ``reuse``, by one who has no other use for ``state``, which a subclass may then write into."""
        del reuse  # nothing is gained by it here
        stepped: tuple[Output, State] = self(obs, state)
        return stepped

    def exportable(self) -> "Policy[Any]":
        """What an export traces: the same function, of operators that torch's exporter knows. Mostly itself."""
        return self

    def random_obs(self, batch: int, generator: torch.Generator) -> Obs:
        """Standard normal observations of the right shapes: what parity and latency are measured on."""
        return {name: torch.randn(batch, *shape, generator=generator) for name, shape in self.inputs.items()}
