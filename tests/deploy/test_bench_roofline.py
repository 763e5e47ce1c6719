"""The roof is measured, and what stands under it is counted as by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from haltere.deploy.bench.roofline import Peaks, Work, limit, measure_peaks, swarm_flops, work_as_trained
from haltere.policies.base import Obs, Output, Policy, Signature, State

from .toys import ToyConfig

PEAKS = Peaks("avx2", 100.0, {"l1": 32, "l2": 1024, "l3": 8192}, {"l1": 200.0, "l2": 100.0, "l3": 20.0})


def test_the_slower_of_arithmetic_and_memory_is_the_limit() -> None:
    """100 kFLOP at 100 GFLOP/s take 1 µs; 20,000 bytes from the first cache 0.1 µs, 1 MB from the third 50 µs."""
    near = limit(Work(1e5, 19_000), 4.0, 1_000, PEAKS)
    assert (near.level, near.bytes) == ("l1", 20_000)
    assert (near.compute_us, near.memory_us, near.share) == pytest.approx((1.0, 0.1, 0.25))
    far = limit(Work(1e5, 2_000_000), 200.0, 0, PEAKS)
    assert (far.level, far.memory_us, far.share) == ("l3", pytest.approx(100.0), pytest.approx(0.5))


@pytest.mark.parametrize(
    ("size", "level"), [(32 << 10, "l1"), ((32 << 10) + 1, "l2"), (1 << 20, "l2"), (1 << 30, "l3")]
)
def test_bytes_come_from_the_smallest_cache_that_holds_them(size: int, level: str) -> None:
    """Beyond the last one, from it: what memory gives isn't measured."""
    assert limit(Work(0.0, size - 100), 1.0, 100, PEAKS).level == level


def test_arithmetic_whose_peak_isnt_measured_has_no_limit() -> None:
    """The peak in float32 says nothing about 8 bits."""
    found = limit(Work(1e9, 20_000, float32=False), 1.0, 0, PEAKS)
    assert found.compute_us is None
    assert found.share == pytest.approx(0.1)


class Plain(Policy[ToyConfig]):
    """Two layers and a product of activations."""

    def __init__(self) -> None:
        """3 features, 8 inside, 2 out."""
        super().__init__(ToyConfig(), Signature({"x": (3,)}, 2))
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 2)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """(B, 3) to (B, 2)."""
        inside = self.first(obs["x"] * self.scale)
        return {"action": self.second(inside), "score": inside @ inside.T}, state


def test_the_networks_own_operations_are_those_of_its_products() -> None:
    """Multiply-adds, two operations each: 3 x 8, 8 x 2, and 8 for one lane's product with itself."""
    work = work_as_trained(Plain(), {"obs.x": np.zeros((1, 3), np.float32)})
    assert work.flops == 2 * (3 * 8 + 8 * 2 + 8)
    assert work.weight_bytes == 4 * ((3 + 1) * 8 + (8 + 1) * 2 + 3)
    assert work.float32


def test_folding_leaves_three_of_seven_projections() -> None:
    """And one dot product for each of the two tokens."""
    shapes = {"self_w": (10, 13), "neighbour_w": (10, 12), "obstacle_w": (10, 4), "query": (10, 10)}
    shapes |= {"fuse_w": (10, 30), "head_w": (4, 10), "key": (10, 10)}
    assert swarm_flops(shapes) == 2 * (130 + 120 + 40 + 3 * 100 + 2 * 10 + 300 + 40)


def test_the_peaks_are_measured() -> None:
    """Numbers of a real processor, whichever it is: between a slow core and a hundred fast ones."""
    peaks = measure_peaks()
    assert peaks.isa in ("baseline", "avx2", "avx512", "neon")
    assert 0.1 < peaks.gflops < 1e4
    assert list(peaks.gbps) == list(peaks.cache_kib) == ["l1", "l2", "l3"]
    assert all(math.isfinite(rate) and 0.01 < rate < 1e5 for rate in peaks.gbps.values())
    assert 0 < peaks.cache_kib["l1"] <= peaks.cache_kib["l2"] <= peaks.cache_kib["l3"]
