"""A short flight on random observations, and a process of its own that flies every saved policy of a folder.

As a script: takes a folder of policy folders, prints the digest of each one's outputs by its name.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from haltere.deploy.loading import TorchActor, load_policy
from haltere.policies.base import Obs, Policy

LANES = 3
STEPS = 5
SEED = 11


def observations(policy: Policy[Any], batch: int, seed: int) -> Obs:
    """Random observations, ten times as large as those that parity is measured on."""
    obs = policy.random_obs(batch, torch.Generator().manual_seed(seed))
    return {name: 10.0 * tensor for name, tensor in obs.items()}


def fly(policy: Policy[Any]) -> str:
    """Digest of the bytes of every output of a few steps."""
    actor, digest = TorchActor(policy), hashlib.sha256()
    for step in range(STEPS):
        obs = observations(policy, LANES, SEED + step)
        out = actor.act({name: tensor.numpy() for name, tensor in obs.items()})
        for name in sorted(out):
            digest.update(name.encode() + out[name].tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps({folder.name: fly(load_policy(folder)) for folder in Path(sys.argv[1]).iterdir()}))
