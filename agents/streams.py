"""The random streams of a run: one for each purpose, all from its one root seed."""

import numpy as np

from haltere.sims.task import FIRST_HELD_OUT_SEED


def torch_seed(sequence: np.random.SeedSequence) -> int:
    """A seed that ``torch.Generator.manual_seed`` takes: 63 bits of the sequence."""
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def first_episode_seed(sequence: np.random.SeedSequence, worlds: int) -> int:
    """The episode seed of the first world; the others' follow it, and all stay below the held-out ones."""
    return int(np.random.default_rng(sequence).integers(0, FIRST_HELD_OUT_SEED - worlds))
