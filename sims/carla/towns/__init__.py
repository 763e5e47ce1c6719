"""The towns: OpenDRIVE maps of our own, what stands in them, and maps of others by path."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.carla.towns.europe import europe
from haltere.sims.carla.towns.grid import grid
from haltere.sims.carla.towns.highway import highway
from haltere.sims.carla.towns.network import Network
from haltere.sims.carla.towns.opendrive import text_of
from haltere.sims.carla.towns.parking import parking
from haltere.sims.carla.towns.reading import town_of
from haltere.sims.carla.towns.town import Town

SUFFIX = ".xodr"
_NETWORKS: Mapping[str, Callable[[], Network]] = {
    "grid": grid,
    "europe": europe,
    "highway": highway,
    "parking": parking,
}


def town_names() -> tuple[str, ...]:
    """Of our own."""
    return tuple(_NETWORKS)


def load_town(name: str, seed: int = 0) -> Town:
    """One of ours by name, or any OpenDRIVE map by its path.

    Args:
        name: such as ``grid`` or ``/Game/Carla/Maps/grid``, or a path that ends with ``.xodr``.
        seed: of what grows beside its roads.

    Raises:
        RequestError: there is no such town or file, or it isn't a map.
    """
    if name.lower().endswith(SUFFIX):
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        return _read(path.stem, text, seed)
    short = name.rpartition("/")[2].lower()
    if short not in _NETWORKS:
        raise unknown_name("town", name, [*_NETWORKS], short_forms=()) from None
    return _own(short, seed)


@lru_cache(maxsize=8)
def _own(name: str, seed: int) -> Town:
    made = _NETWORKS[name]()
    return _read(name, text_of(name, made.roads, made.junctions), seed)


@lru_cache(maxsize=8)
def _read(name: str, opendrive: str, seed: int) -> Town:
    return town_of(name, opendrive, seed)
