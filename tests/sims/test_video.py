"""A film plays, is whole or not there at all, and a wrong request for one is told before the work."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.video import VideoWriter


def moving_square(frames: int, height: int = 90, width: int = 160) -> list[NDArray[np.uint8]]:
    """A red square that moves right over grey."""
    film = np.full((frames, height, width, 3), 90, np.uint8)
    for index, frame in enumerate(film):
        frame[20:60, 4 * index : 4 * index + 40] = (220, 30, 30)
    return list(film)


def boxes(path: Path) -> list[str]:
    """Names of an MP4 file's outermost boxes, in order (ISO/IEC 14496-12, 4.2)."""
    data, names, at = path.read_bytes(), [], 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        names.append(name.decode("ascii"))
        at += size
    return names


def test_a_film_is_what_browsers_play(tmp_path: Path) -> None:
    """H.264, 4:2:0, its index before its pictures; as many frames as were written, and they show what was written."""
    frames = moving_square(20)
    with VideoWriter(tmp_path / "film.mp4", fps=20) as writer:
        for frame in frames:
            writer.write(frame)
    assert writer.frames == 20
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 20)
        shown = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(shown) == 20
    error = np.abs(np.stack(shown).astype(int) - np.stack(frames).astype(int))
    assert np.median(error) <= 4
    assert error.mean() < 8
    names = boxes(tmp_path / "film.mp4")
    assert names.index("moov") < names.index("mdat")


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    """4:2:0 wants pairs of rows and columns; a frame of 45 x 81 becomes 46 x 82."""
    with VideoWriter(tmp_path / "odd.mp4") as writer:
        writer.write(moving_square(1, 45, 81)[0])
    with av.open(str(tmp_path / "odd.mp4")) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (46, 82)


def test_a_failure_leaves_the_older_film_and_nothing_else(tmp_path: Path) -> None:
    """An exception in the block throws the new film away; so does closing without a frame."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"older")
    with pytest.raises(KeyError), VideoWriter(path) as writer:
        writer.write(moving_square(1)[0])
        raise KeyError
    with pytest.raises(HaltereError, match="no frames"), VideoWriter(path):
        pass
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("film.mp5", r"no kind of film \(film.mp5\) named '.mp5'; did you mean '.mp4'"),
        ("film", "no ending"),
        ("nowhere/film.mp4", "no folder"),
        ("folder.mp4", "is a folder"),
    ],
)
def test_a_wrong_path_is_told_at_once(name: str, message: str, tmp_path: Path) -> None:
    """Before any frame; nothing is left behind."""
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(RequestError, match=message):
        VideoWriter(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.mp4"]


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), 1e6])
def test_a_wrong_frame_rate_is_refused(fps: float, tmp_path: Path) -> None:
    """NaN and its kind never reach the encoder."""
    with pytest.raises(RequestError, match="fps"):
        VideoWriter(tmp_path / "film.mp4", fps=fps)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((90, 160), np.uint8),
        np.zeros((90, 160, 4), np.uint8),
        np.zeros((90, 160, 3)),
        np.zeros((8, 8, 3), "u1"),
    ],
    ids=["grey", "rgba", "float", "other size"],
)
def test_a_wrong_frame_is_named(frame: NDArray[np.uint8], tmp_path: Path) -> None:
    """The message says which frame and what was expected."""
    with VideoWriter(tmp_path / "film.mp4") as writer:
        writer.write(moving_square(1)[0])
        with pytest.raises(HaltereError, match=r"frame 1 of film.mp4: expected uint8 \(90, 160, 3\)"):
            writer.write(frame)
