"""A recording: who came, where everybody was after each tick, who met whom, who went; and its file."""

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import Rotation, Transform, Vector
from haltere.sims.carla.server.wire import structs

FORMAT = 1
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Born:
    """An actor that comes.

    Attributes:
        number: that it had.
        description: what it was spawned by.
        place: where.
        parent: number of what it is attached to; 0 for nothing.
    """

    number: int
    description: structs.Description
    place: Transform
    parent: int = 0


@dataclass(frozen=True)
class Frame:
    """What a tick left.

    Attributes:
        time_s: since the recording began.
        born: who came before it.
        gone: numbers of those who went.
        places: number -> x, y and z [m], pitch, yaw and roll [degrees], velocity in the world [m/s].
        met: numbers of those who touched; 0 for what belongs to the town.
    """

    time_s: float
    born: list[Born] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    places: dict[int, tuple[float, ...]] = field(default_factory=dict)
    met: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Track:
    """All frames.

    Attributes:
        town: as it was loaded.
        date: when, for people.
        frames: in order, at least one.
    """

    town: str
    date: str
    frames: list[Frame] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """From the first frame to the last."""
        return self.frames[-1].time_s if self.frames else 0.0

    def born(self) -> dict[int, Born]:
        """Everybody who came, by number."""
        return {born.number: born for frame in self.frames for born in frame.born}


def path_of(folder: Path, name: str) -> Path:
    """Where a recording lies.

    Raises:
        RequestError: the name isn't that of a file alone.
    """
    if not name or name == ".." or len(name) > _LONGEST_NAME or Path(name).name != name or not name.isprintable():
        raise RequestError(f"a recording needs a file's name without folders, got '{name[:_LONGEST_NAME]}'")
    return folder / name


class Writer:
    """Writes a recording as it goes on, so that it may be long: a header, then frame after frame."""

    def __init__(self, path: Path, town: str, date: str) -> None:
        """Begin the file.

        Raises:
            RequestError: it can't be written there.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = gzip.open(path, "wb", compresslevel=1)
        except OSError as error:
            raise RequestError(f"{path}: {error.strerror}") from None
        self._write((FORMAT, town, date))

    def add(self, frame: Frame) -> None:
        """The next one.

        Raises:
            RequestError: it can't be written, such as on a full disk.
        """
        born = [_packed(born) for born in frame.born]
        self._write((frame.time_s, born, frame.gone, list(frame.places.items()), frame.met))

    def _write(self, values: tuple[Any, ...]) -> None:
        try:
            self._file.write(msgpack.packb(values))
        except OSError as error:
            raise RequestError(f"{self._path}: {error.strerror}") from None

    def close(self) -> None:
        """End the file.

        Raises:
            RequestError: the rest can't be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise RequestError(f"{self._path}: {error.strerror}") from None


def load(path: Path) -> Track:
    """Read it.

    Raises:
        RequestError: there is none, or it is no recording.
    """
    try:
        with gzip.open(path, "rb") as file:
            unpacked = msgpack.Unpacker(file, strict_map_key=False, use_list=False)
            known, town, date = next(unpacked)
            if known != FORMAT:
                raise RequestError(f"{path}: a recording of format {known}, of which this server knows {FORMAT} alone")
            frames = [
                Frame(time_s, [_unpacked(each) for each in born], list(gone), dict(places), list(met))
                for time_s, born, gone, places, met in unpacked
            ]
        return Track(town, date, frames)
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such recording") from None
    except (OSError, EOFError, zlib.error, ValueError, TypeError, StopIteration, msgpack.UnpackException) as error:
        raise RequestError(f"{path}: not a recording: {error or 'it ends early'}") from None


def _packed(born: Born) -> tuple[Any, ...]:
    where, turned, what = born.place.location, born.place.rotation, born.description
    attributes = [(each.name, int(each.kind), each.value) for each in what.attributes]
    place = (where.x, where.y, where.z, turned.pitch, turned.yaw, turned.roll)
    return born.number, what.number, what.name, attributes, place, born.parent


def _unpacked(values: tuple[Any, ...]) -> Born:
    number, kind, name, attributes, place, parent = values
    given = tuple(structs.AttributeValue(key, structs.AttributeType(of), value) for key, of, value in attributes)
    return Born(number, structs.Description(kind, name, given), transform_of(place), parent)


def transform_of(values: tuple[float, ...]) -> Transform:
    """Of x, y, z, pitch, yaw and roll."""
    x, y, z, pitch, yaw, roll = values[:6]
    return Transform(Vector(x, y, z), Rotation(pitch, yaw, roll))
