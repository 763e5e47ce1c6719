"""Films as H.264 in MP4, which every browser plays."""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError, unknown_name

ENDINGS = (".mp4",)
_KEYFRAME_S = 2.0


class VideoWriter:
    """Writes frames to a file that appears, whole, when the writer is closed without an error.

    Use it as a context manager: leaving the block with an exception throws the film away, and a film that lay there
    before stays as it was.

    Attributes:
        path: of the film.
        fps: frames a second; may be changed until the first one is written.
        frames: how many were written.
    """

    def __init__(self, path: Path | str, fps: float = 25.0, quality: int = 23) -> None:
        """Check that the file can be made, before the work and not after it.

        Args:
            path: of the film; must end in ``.mp4``.
            fps: frames a second of the film.
            quality: x264's constant rate factor; 18 is all but lossless, 28 coarse.

        Raises:
            RequestError: the ending, the folder, the frame rate or the quality is wrong.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in ENDINGS:
            raise unknown_name(f"kind of film ({self.path.name})", self.path.suffix or "no ending", ENDINGS)
        if not 0.1 <= fps <= 1000.0 or not 0 <= quality <= 51:
            raise RequestError(f"a film needs 0.1 to 1000 fps and a quality of 0 to 51, got {fps:g} and {quality}")
        if self.path.is_dir() or not self.path.absolute().parent.is_dir():
            what = "is a folder" if self.path.is_dir() else f"there is no folder {self.path.absolute().parent}"
            raise RequestError(f"can't write the film {self.path}: {what}")
        self.fps, self.frames = float(fps), 0
        self._quality = quality
        self._size: tuple[int, int] | None = None
        self._temporary = self.path.absolute().with_name(f".{self.path.stem}.{os.getpid()}.tmp{self.path.suffix}")
        self._open = True
        try:
            # The encoder opens its file only when it has something to write, which may be much later.
            self._temporary.touch()
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        except OSError as error:
            raise RequestError(f"can't write the film {self.path}: {error.strerror or error}") from None
        self._stream: VideoStream | None = None

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame.

        Args:
            frame: (H, W, 3) RGB, all of one size. An odd last row or column is repeated once: the format wants pairs.

        Raises:
            HaltereError: the frame is of another shape or type, or the disk is full.
        """
        size = frame.shape[:2] if frame.ndim == 3 and frame.shape[2] == 3 and frame.size else None
        if size is None or frame.dtype != np.uint8 or self._size not in (None, size):
            wanted = "(H, W, 3)" if self._size is None else f"({self._size[0]}, {self._size[1]}, 3)"
            got = f"{frame.dtype} {frame.shape}"
            raise HaltereError(f"frame {self.frames} of {self.path.name}: expected uint8 {wanted}, got {got}")
        self._size = (int(size[0]), int(size[1]))
        height, width = self._size
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._open_stream(frame.shape[1], frame.shape[0])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.frames
        self._mux(picture)
        self.frames += 1

    def close(self) -> None:
        """Finish the film and put it in its place; nothing happens the second time.

        Raises:
            HaltereError: no frame was written, or the disk is full.
        """
        if not self._open:
            return
        try:
            if self._stream is None:
                raise HaltereError(f"{self.path}: the film has no frames")
            self._mux(None)
            self._container.close()
            os.replace(self._temporary, self.path)
        except OSError as error:
            raise HaltereError(f"can't write the film {self.path}: {error.strerror or error}") from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Throw away a film that isn't finished."""
        self._open = False
        # Whatever the container still wants to write goes to a file that is about to be removed.
        with suppress(OSError):
            self._container.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or throw the film away where the block failed."""
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open_stream(self, width: int, height: int) -> VideoStream:
        rate = Fraction(self.fps).limit_denominator(1001)
        options = {"crf": str(self._quality), "preset": "veryfast", "g": str(max(1, round(_KEYFRAME_S * self.fps)))}
        stream = self._container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        return stream

    def _mux(self, picture: av.VideoFrame | None) -> None:
        if self._stream is None:
            return
        try:
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
        except OSError as error:
            raise HaltereError(f"can't write the film {self.path}: {error.strerror or error}") from None
