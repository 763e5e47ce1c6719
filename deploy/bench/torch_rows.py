"""Torch, as it trained the network and as its compiler makes it."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch

from haltere.deploy.bench.contender import Contender, Setup, Unavailable, quiet
from haltere.deploy.parity import split, torch_model


def torch_eager(setup: Setup) -> Contender:
    """The network as it was trained."""
    return _torch(setup, setup.policy)


def torch_compile(setup: Setup) -> Contender:
    """The network through TorchInductor, which needs a C++ compiler."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise Unavailable(f"needs a C++ compiler; there is no {compiler}")
    try:
        with quiet():
            contender = _torch(setup, torch.compile(setup.policy, dynamic=False, options={"compile_threads": 1}))
            contender.step(0)
    except Exception as error:  # whatever the compiler's many layers raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Unavailable(f"can't compile: {lines[0][:200]}") from error
    return contender


def _torch(setup: Setup, network: Callable[..., Any]) -> Contender:
    prepared = [split(inputs)[0] for inputs in setup.inputs]
    named = torch_model(network)
    state = split(setup.inputs[0])[1]

    def step(index: int) -> None:
        nonlocal state
        with torch.inference_mode():
            _, state = network(prepared[index], state)

    return Contender(step, lambda index: named(setup.inputs[index]))
