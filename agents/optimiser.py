"""What gradient-based trainers share: step sizes that fall, Adam's moments as arrays, a look for NaN."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from haltere.agents.trainer import Arrays

_KEYS = ("step", "exp_avg", "exp_avg_sq")


def linear(start: float, end: float) -> Callable[[float], float]:
    """Falls from ``start`` at full progress remaining (1) to ``end`` at none (0)."""
    return lambda remaining: end + (start - end) * max(remaining, 0.0)


def adam_arrays(network: nn.Module, optimizer: torch.optim.Optimizer) -> Arrays:
    """A copy of Adam's state of each parameter that has been updated, by ``<moment>.<parameter>``."""
    state = optimizer.state
    moments: dict[str, dict[str, Tensor]] = {n: state[p] for n, p in network.named_parameters() if p in state}
    return {f"{key}.{name}": value.numpy().copy() for name, own in moments.items() for key, value in own.items()}


def load_adam(network: nn.Module, optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Undo ``adam_arrays``: all of Adam's state of a parameter, or none where it never had a gradient.

    Raises:
        KeyError: only a part of a parameter's state is there.
    """
    state = optimizer.state
    state.clear()
    for name, parameter in network.named_parameters():
        if any(f"{key}.{name}" in arrays for key in _KEYS):
            state[parameter] = {key: torch.from_numpy(arrays[f"{key}.{name}"].copy()) for key in _KEYS}


def not_finite(network: nn.Module) -> list[str]:
    """Names of the parameters that hold a NaN or an infinity."""
    return [name for name, value in network.named_parameters() if not bool(torch.isfinite(value).all())]


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names start with a prefix, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
