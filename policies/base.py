"""The Policy noun: a pure network from observations and state to outputs and state, batch first.

A policy knows no simulator, no trainer and no file format. Whatever it remembers is in ``State``, an explicit
dictionary of tensors that goes in and comes out, so that the same network runs in torch, ONNX and C.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

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


class Policy(nn.Module, Generic[ConfigT]):
    """Base of every network. A subclass is ``policies/<name>/model.py`` with its typed ``config.py`` beside it.

    ``forward`` returns at least ``"action"`` of shape (B, action); every further output is exported as ``aux.<key>``.

    Attributes:
        bounds: settings that say how much is remembered, and that the same trained weights do with any value of.
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

    def initial_state(self, batch: int) -> State:
        """State before the first observation, each tensor (B, ...). Stateless policies return an empty dictionary."""
        return {}

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One control step for B lanes.

        Args:
            obs: each observation (B, *signature.obs[name]), float32.
            state: what ``initial_state`` or the last step returned.

        Returns:
            The outputs, ``"action"`` (B, signature.action) in [-1, 1] among them, and the next state.
        """
        raise NotImplementedError

    def random_obs(self, batch: int, generator: torch.Generator) -> Obs:
        """Standard normal observations of the right shapes: what parity and latency are measured on."""
        return {
            name: torch.randn(batch, *shape, generator=generator) for name, shape in self.signature.obs.items()
        }
