"""What every memory is: a module that turns what comes in now, and what it kept, into what goes out.

A memory keeps nothing itself. Its state is a dictionary of tensors, batch first, of fixed shapes, each of which begins
as one constant, so that a runtime can start it without torch. It computes the same over a whole sequence as one step
after the other: a trainer takes the one, a robot the other.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from haltere.policies.base import ReadPlaces, State
from haltere.policies.memory.ring import pick


class Recalled(NamedTuple):
    """What a memory answers.

    Attributes:
        out: (B, D) of a step, (B, T, D) of a sequence.
        state: the next one.
        read: share of the attention on each place of the memory, (B, R) or (B, T, R). None where the memory has no
            places, or where it wasn't asked for.
    """

    out: Tensor
    state: State
    read: Tensor | None


class Memory(nn.Module):
    """Base of every memory.

    Attributes:
        width: D, of what comes in and goes out.
        places: R, how many things it can say that it attends to; 0 where there are none to name.
        read_places: which steps those are.
        bounds: settings of ``MemoryConfig`` that say how much is kept, and leave the weights as they are.
        rings: names of states of which a step changes one row alone, and which it reads only after that; see
            ``Policy.rings``.
    """

    places: int = 0
    read_places: ReadPlaces = ReadPlaces()
    bounds: tuple[str, ...] = ()
    rings: tuple[str, ...] = ()

    def __init__(self, width: int) -> None:
        """Keep the width; a subclass builds its layers after calling this."""
        super().__init__()
        self.width = width

    def initial_state(self, batch: int) -> State:
        """State before an episode's first step, each tensor (B, ...) and one constant."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """Remember and recall for one step.

        Args:
            x: (B, D), what is asked with.
            state: what ``initial_state`` or the last step returned.
            told: (B, D), what is remembered of the step; x where None.
            reuse: write into the state that is given, rather than copy it: for rollouts, without gradients.
        """
        raise NotImplementedError

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """The same for T steps at once, whose gradients may be wanted.

        Args:
            x: (B, T, D).
            state: before the first of the steps; never written into.
            starts: (B, T) bool, true where a step is the first of an episode, which begins with the initial state.
            told: (B, T, D), see ``step``.
            reading: whether ``read`` is wanted.
        """
        raise NotImplementedError

    def sequence_at(
        self,
        x: Tensor,
        state: State,
        starts: Tensor,
        at: Tensor,
        *,
        told: Tensor | None = None,
        reading: bool = False,
    ) -> Recalled:
        """What ``sequence`` answers at some of the steps, for less where a memory knows how.

        Args:
            x: see ``sequence``.
            state: see ``sequence``.
            starts: see ``sequence``.
            at: (B, Q) int64, at which steps of each lane.
            told: see ``sequence``.
            reading: see ``sequence``.

        Returns:
            The answers (B, Q, D), the state after all of the steps, and what was read at those wanted, (B, Q, R).
        """
        done = self.sequence(x, state, starts, told=told, reading=reading)
        return Recalled(pick(done.out, at), done.state, None if done.read is None else pick(done.read, at))

    def fitted(self, state: State, steps: int) -> State:
        """A state with no more empty rows than these many further steps need, which is less to copy."""
        return state

    def _zeros(self, *shape: int) -> Tensor:
        """Zeros of the parameters' type and device."""
        parameter = next(self.parameters())
        return torch.zeros(*shape, dtype=parameter.dtype, device=parameter.device)

    def _count(self, batch: int) -> Tensor:
        """(B,) steps since the episode began, none so far."""
        return torch.zeros(batch, dtype=torch.int64, device=next(self.parameters()).device)


class Recurrent(Memory):
    """Base of a memory whose sequence is its steps, one after the other."""

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``."""
        initial = self.initial_state(len(x))
        outs = []
        told = x if told is None else told
        for now, new, start in zip(x.unbind(1), told.unbind(1), starts.unbind(1), strict=True):
            out, state, _ = self.step(now, restarted(state, initial, start), told=new)
            outs.append(out)
        return Recalled(torch.stack(outs, dim=1), state, None)


def restarted(state: State, initial: State, start: Tensor) -> State:
    """The state with the lanes where ``start`` (B,) is true as they were in the beginning."""
    return {
        name: torch.where(start.view(-1, *[1] * (tensor.dim() - 1)), initial[name], tensor)
        for name, tensor in state.items()
    }


def projection(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """A linear layer with Xavier weights and zero bias.

    Source: Glorot and Bengio 2010, equation 16.
    """
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
