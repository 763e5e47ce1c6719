"""A toy for policies that plan chunks: to give back what they were shown."""

import torch
from torch import Tensor

from haltere.policies.diffusion.model import DiffusionPolicy


def repeated(mine: DiffusionPolicy, shown: Tensor, updates: int, rate: float) -> Tensor:
    """What a policy plans from noise for each of two observations, once it was shown a chunk for each, (2, T, A)."""
    seen = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])[:, None].expand(2, 2, 5)
    optimizer, generator = torch.optim.Adam(mine.parameters(), lr=rate), torch.Generator().manual_seed(1)
    for _ in range(updates):
        optimizer.zero_grad()
        which = torch.randint(2, (64,), generator=generator)
        mine.loss({"state": seen[which]}, shown[which], generator)["loss"].backward()
        optimizer.step()
    mine.eval()
    obs, state = {"state": seen, "noise": torch.randn(2, 1, 4, 2, generator=generator)}, mine.initial_state(2)
    with torch.no_grad():
        for _ in range(10):
            output, state = mine(obs, state)
    return output["chunk"]
