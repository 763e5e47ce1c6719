"""Films of a dataset: one an episode while it is recorded, then many episodes in one file without encoding again.

H.264 with all of the colour (4:4:4): pictures for a policy are small, and halved colour loses what it looks for; odd
sizes are possible too. Every second frame stands alone, as the published recorder has it, so that any frame is found
by decoding two; no frame refers to a later one, so that episodes can be put one after the other.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from haltere.sims.datasets.stats import LEVELS, histogram

CODEC, PIXELS = "h264", "yuv444p"
_OPTIONS = {"crf": "12", "preset": "veryfast", "g": "2", "bf": "0", "sc_threshold": "0", "tune": "zerolatency"}
"""Without looking ahead: x264's macroblock tree, which does, gives other bytes now and then for the same pictures."""
_MUXER = {"movflags": "+faststart", "fflags": "+bitexact"}


class EpisodeFilm:
    """Writes the images of one episode, and counts their levels."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        """Open the file.

        Args:
            path: of the film, ``.mp4``.
            rate: frames a second.
        """
        self.levels = np.zeros((3, LEVELS), np.int64)
        self._rate = rate
        self._frames = 0
        self._container = av.open(str(path), "w", format="mp4", options=_MUXER)
        self._stream: VideoStream | None = None

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append one image, (3, H, W)."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=_OPTIONS)
            self._stream.height, self._stream.width = image.shape[1:]
            self._stream.pix_fmt = PIXELS
            # More threads would cut a picture into slices: other bytes on another machine.
            self._stream.codec_context.thread_count = 1
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image.transpose(1, 2, 0)), format="rgb24")
        picture.pts = self._frames
        self._container.mux(self._stream.encode(picture))
        self._frames += 1
        self.levels += histogram(image)

    def close(self) -> None:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def join(films: Sequence[tuple[Path, int]], path: Path, rate: Fraction) -> None:
    """Put films one after the other.

    Args:
        films: each file with its number of frames, all of ``EpisodeFilm``.
        path: of the new file.
        rate: frames a second of all of them.
    """
    with av.open(str(path), "w", format="mp4", options=_MUXER) as target:
        stream: Any = None
        shown = 0
        for film, frames in films:
            with av.open(str(film)) as source:
                template: Any = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(template)
                    stream.time_base = template.time_base
                start = round(Fraction(shown) / rate / template.time_base)
                for packet in source.demux(template):
                    if packet.dts is None or packet.pts is None:
                        continue  # the demuxer's last, empty one
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    packet.stream = stream
                    target.mux(packet)
            shown += frames


def video_facts(height: int, width: int, fps: float) -> dict[str, Any]:
    """What ``meta/info.json`` says of a film."""
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": CODEC,
        "video.pix_fmt": PIXELS,
        "video.fps": fps,
        "video.channels": 3,
        "is_depth_map": False,
        "has_audio": False,
    }
