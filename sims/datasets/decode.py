"""Single frames of films, decoded when they are asked for, with a bounded memory of those around them."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError

_BLOCK = 8
"""Frames that are decoded and kept together: who asks for one often asks for the next."""
_OPEN = 8


class FilmReader:
    """Frames by file and number; blocks of them are kept, the least recently used go first."""

    def __init__(self, fps: float, cache_bytes: int) -> None:
        """Keep nothing yet.

        Args:
            fps: frames a second of every film.
            cache_bytes: how much is kept, at least one block.
        """
        self._fps, self._limit = fps, cache_bytes
        self._blocks: OrderedDict[tuple[Path, int], NDArray[np.uint8]] = OrderedDict()
        self._open: OrderedDict[Path, Any] = OrderedDict()
        # One for all frames: setting a conversion up takes longer than a small picture.
        self._to_rgb = VideoReformatter()
        self.kept_bytes = 0
        self.decoded = 0

    def frame(self, path: Path, number: int) -> NDArray[np.uint8]:
        """One frame, (3, H, W).

        Args:
            path: of the film.
            number: of the frame in it, from 0.

        Raises:
            HaltereError: the film is damaged, or shorter.
        """
        start = number - number % _BLOCK
        block = self._blocks.get((path, start))
        if block is None:
            block = self._decode(path, start)
            self._keep((path, start), block)
        else:
            self._blocks.move_to_end((path, start))
        if number - start >= len(block):
            raise HaltereError(f"{path}: has no frame {number}")
        image: NDArray[np.uint8] = block[number - start]
        return image

    def _keep(self, key: tuple[Path, int], block: NDArray[np.uint8]) -> None:
        self._blocks[key] = block
        self.kept_bytes += block.nbytes
        while self.kept_bytes > self._limit and len(self._blocks) > 1:
            _, old = self._blocks.popitem(last=False)
            self.kept_bytes -= old.nbytes

    def _decode(self, path: Path, start: int) -> NDArray[np.uint8]:
        """Frames ``start`` to ``start + _BLOCK - 1``, or up to the film's end."""
        try:
            container = self._container(path)
            stream = container.streams.video[0]
            # To the last frame that stands alone at or before the first one wanted.
            container.seek(round(start / self._fps / stream.time_base), stream=stream, backward=True)
            frames: dict[int, NDArray[np.uint8]] = {}
            for picture in container.decode(stream):
                self.decoded += 1
                if picture.pts is None:
                    continue
                number = round(float(picture.pts * picture.time_base) * self._fps)
                if start <= number < start + _BLOCK:
                    rgb = self._to_rgb.reformat(picture, format="rgb24", threads=1)
                    frames[number] = np.asarray(rgb.to_ndarray(), np.uint8).transpose(2, 0, 1)
                if number >= start + _BLOCK - 1:
                    break
        except (OSError, IndexError, AttributeError, ValueError, av.FFmpegError) as error:
            raise HaltereError(f"{path}: can't be decoded: {getattr(error, 'strerror', None) or error}") from None
        if sorted(frames) != list(range(start, start + len(frames))):
            raise HaltereError(f"{path}: frames {start} to {start + _BLOCK - 1} aren't one after the other")
        return np.stack([frames[number] for number in sorted(frames)]) if frames else np.empty((0,), np.uint8)

    def _container(self, path: Path) -> Any:  # noqa: ANN401 -- PyAV's input container
        if path in self._open:
            self._open.move_to_end(path)
        else:
            self._open[path] = av.open(str(path))
            # Waking threads takes longer than a small picture, and whoever reads has processes of its own.
            for stream in self._open[path].streams.video:
                stream.codec_context.thread_count = 1
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)[1].close()
        return self._open[path]
