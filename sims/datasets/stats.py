"""Statistics of a feature as the format has them: exact, over all frames of an episode or of the dataset.

Numbers a feature: min, max, mean, std (of the population), count, and the quantiles q01, q10, q50, q90 and q99. Those
of images are one a channel, (3, 1, 1), in [0, 1].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
BASIC = ("min", "max", "mean", "std", "count")
NAMES = (*BASIC, *QUANTILES)
LEVELS = 256

Stats = dict[str, NDArray[Any]]


def feature_stats(values: NDArray[Any]) -> Stats:
    """Statistics over the frames of a feature.

    Args:
        values: (frames, ...), at least one frame.

    Returns:
        Each statistic of shape (...), float64; (1,) for one number a frame. ``count`` is (1,).
    """
    exact = values.reshape(len(values), -1).astype(np.float64)
    shape = values.shape[1:] or (1,)
    found = {
        "min": exact.min(axis=0),
        "max": exact.max(axis=0),
        "mean": exact.mean(axis=0),
        "std": exact.std(axis=0),
        **dict(zip(QUANTILES, np.quantile(exact, list(QUANTILES.values()), axis=0), strict=True)),
    }
    return _ordered({name: value.reshape(shape) for name, value in found.items()}, len(values))


def histogram(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each level occurs in each channel of images, (..., 3, H, W) to (3, 256)."""
    channels = np.moveaxis(image, -3, 0)
    return np.stack([np.bincount(channel.ravel(), minlength=LEVELS) for channel in channels])


def image_stats(levels: NDArray[np.int64], frames: int) -> Stats:
    """Statistics of images from how often each level occurs, which loses nothing.

    Args:
        levels: (3, 256), summed over the frames.
        frames: how many there were.

    Returns:
        Each statistic (3, 1, 1) in [0, 1]; ``count`` is (1,), the number of frames.
    """
    scale = np.arange(LEVELS) / (LEVELS - 1)
    pixels = levels.sum(axis=1)
    mean = levels @ scale / pixels
    below = np.cumsum(levels, axis=1)
    found = {
        "min": scale[(levels > 0).argmax(axis=1)],
        "max": scale[LEVELS - 1 - (levels[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(levels @ scale**2 / pixels - mean**2, 0.0)),
        **{name: scale[(below >= share * pixels[:, None]).argmax(axis=1)] for name, share in QUANTILES.items()},
    }
    return _ordered({name: value.reshape(-1, 1, 1) for name, value in found.items()}, frames)


def plain(stats: Stats) -> dict[str, Any]:
    """The same as nested lists, for JSON and parquet."""
    return {name: value.tolist() for name, value in stats.items()}


def _ordered(found: Stats, frames: int) -> Stats:
    found["count"] = np.array([frames], np.int64)
    return {name: found[name] for name in NAMES}
