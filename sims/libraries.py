"""Opens the native libraries that lie beside their modules."""

import ctypes
from collections.abc import Iterable
from pathlib import Path

from haltere.configs.errors import HaltereError


def opened(folders: Iterable[str], name: str, without: str) -> ctypes.CDLL:
    """A library of a package.

    Args:
        folders: the package's; an editable install has two, the sources and what was built.
        name: of the file.
        without: what there is not as long as it is missing, as the end of a sentence.

    Raises:
        HaltereError: it is missing, or can't be loaded here.
    """
    found = [path for folder in folders for path in Path(folder).glob(name)]
    if not found:
        raise HaltereError(f"{name} is missing, so {without}; reinstall haltere")
    try:
        return ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise HaltereError(f"{name} can't be loaded ({error}); reinstall haltere") from error
