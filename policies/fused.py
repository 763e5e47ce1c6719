"""Networks, or parts of them, that become one operator once exported; everywhere else they are plain torch.

A kernel computes a whole block without the cost of an operator each for its pieces. The block is written once, as a
function of tensors, and called through ``fused``. While training, that is a call and nothing more. While an export
listens (``heard_by``), it is told of the call, and puts one node of that name in its place.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident

from torch import Tensor

Tensors = tuple[Tensor, ...]
Inputs = tuple[Tensor | None, ...]
Body = Callable[..., Tensors]


@dataclass(frozen=True)
class FusedCall:
    """One call of ``fused``; see there.

    Attributes:
        name: of the operator.
        body: what computes it in torch.
        inputs: what differs from call to call; None where one is left out.
        weights: what doesn't.
        attributes: whole numbers by name.
    """

    name: str
    body: Body
    inputs: Inputs
    weights: Tensors
    attributes: Mapping[str, int] = field(default_factory=dict)

    def compute(self) -> Tensors:
        """The outputs, in plain torch."""
        return self.body(*self.inputs, *self.weights, **self.attributes)


Listener = Callable[[FusedCall], Tensors]
"""Told of a call; returns what the call is to return."""

# A plain global, because torch.compile sees through it; the thread is looked at only while somebody listens.
_listener: Listener | None = None
_thread = 0


def fused(
    name: str, body: Body, inputs: Inputs, weights: Tensors, attributes: Mapping[str, int] | None = None
) -> Tensors:
    """Compute ``body(*inputs, *weights, **attributes)``, as one operator where the model is exported.

    Args:
        name: of the operator and its kernel, in the domain ``haltere``.
        body: a pure function of tensors, with one named parameter for each input, then for each weight. What it does
            may depend on their shapes, but for the number of lanes.
        inputs: (B, ...) each, and so are the outputs; None for one that the operator may go without.
        weights: what stays the same from call to call. Products of parameters and constants are best formed before the
            call: an export computes them once, and the file holds the result.
        attributes: whole numbers that the operator can't see from the weights' shapes.

    Returns:
        The body's outputs, always a tuple.
    """
    if _listener is None or _thread != get_ident():
        return body(*inputs, *weights, **(attributes or {}))
    return _listener(FusedCall(name, body, inputs, weights, attributes or {}))


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """While inside, hand every call of ``fused`` on this thread to a listener; other threads compute as ever."""
    global _listener, _thread
    before = _listener, _thread
    _listener, _thread = listener, get_ident()
    try:
        yield
    finally:
        _listener, _thread = before
