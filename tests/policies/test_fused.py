"""In torch a fused block is its body and nothing else; only a listener makes it more, and only on its own thread."""

from threading import Thread

import pytest
import torch
from torch import Tensor

from haltere.policies.fused import FusedCall, Tensors, fused, heard_by


def affine(x: Tensor, w: Tensor, b: Tensor, *, times: int = 1) -> tuple[Tensor, Tensor]:
    """Two outputs."""
    y = x @ w.T + b
    return y * times, x


X, W, B = torch.randn(5, 3), torch.randn(2, 3, requires_grad=True), torch.randn(2)


def call() -> Tensors:
    """One fused call."""
    return fused("Affine", affine, (X,), (W, B), {"times": 3})


def test_without_a_listener_it_is_the_body() -> None:
    """The same bits, and the same gradient."""
    wanted = affine(X, W, B, times=3)
    got = call()
    assert torch.equal(got[0], wanted[0]) and got[1] is X
    (gradient,) = torch.autograd.grad(got[0].sum(), W)
    (expected,) = torch.autograd.grad(wanted[0].sum(), W)
    assert torch.equal(gradient, expected)
    assert torch.equal(fused("Affine", affine, (X,), (W, B))[0], affine(X, W, B)[0])


def test_a_listener_is_told_and_answers() -> None:
    """Until its block ends, however that ends; listeners nest."""
    heard: list[FusedCall] = []

    def listen(told: FusedCall) -> Tensors:
        heard.append(told)
        return (X, X)

    with pytest.raises(ZeroDivisionError), heard_by(listen):
        assert call()[0] is X
        with heard_by(FusedCall.compute):
            assert torch.equal(call()[0], affine(X, W, B, times=3)[0])
        assert call()[0] is X
        raise ZeroDivisionError
    assert torch.equal(call()[0], affine(X, W, B, times=3)[0])
    assert [(told.name, told.inputs, told.weights, told.attributes) for told in heard] == [
        ("Affine", (X,), (W, B), {"times": 3})
    ] * 2


def test_other_threads_compute_as_ever() -> None:
    """A training that goes on beside an export isn't recorded into it."""
    results: list[Tensors] = []

    def listen(told: FusedCall) -> Tensors:
        raise AssertionError(told.name)

    with heard_by(listen):
        thread = Thread(target=lambda: results.append(call()))
        thread.start()
        thread.join()
    assert torch.equal(results[0][0], affine(X, W, B, times=3)[0])


def test_torch_compile_sees_through_it() -> None:
    """No break in the graph: what is compiled is the body."""
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(lambda: call()[0], backend=count, fullgraph=True)
    assert torch.equal(compiled(), affine(X, W, B, times=3)[0])
    assert len(graphs) == 1
