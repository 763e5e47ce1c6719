"""How haltere finds its parts: by directory for its own, by entry-point group for everyone else's.

Nothing is imported to list names, so that listing stays fast and needs none of what the parts need.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from haltere.configs.errors import ConfigError


def directory_packages(folder: Path, package: str, files: Iterable[str]) -> dict[str, str]:
    """Name -> dotted package of every subfolder of ``folder`` that holds all of ``files``.

    Args:
        folder: the directory of ``package``.
        package: its dotted name, such as ``haltere.policies``.
        files: what makes a subfolder a part, such as ``("config.py", "model.py")``.
    """
    wanted = tuple(files)
    found = (child for child in folder.iterdir() if all((child / name).is_file() for name in wanted))
    return {child.name: f"{package}.{child.name}" for child in sorted(found)}


def with_plugins(kind: str, builtin: Mapping[str, str], group: str) -> dict[str, str]:
    """The built-in parts and those that installed packages declare under an entry-point group.

    Args:
        kind: what a part is, for the error, such as ``"policy"``.
        builtin: name -> dotted package of our own.
        group: entry-point group; each entry's name is the part's, its value the package.

    Raises:
        ConfigError: two packages claim one name; which of them would run must not depend on the install order.
    """
    packages = dict(builtin)
    for entry in entry_points(group=group):
        claimed = packages.setdefault(entry.name, entry.value)
        if claimed != entry.value:
            raise ConfigError(f"two packages define the {kind} '{entry.name}': {claimed} and {entry.value}")
    return dict(sorted(packages.items()))


def package_folder(package: str) -> Path:
    """Directory of a package, found without running its code (its parents' code does run).

    Raises:
        ConfigError: there is no such package.
    """
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"no package named '{package}'; its entry point names it")
    return Path(next(iter(spec.submodule_search_locations)))


def import_part(module: str) -> ModuleType:
    """Import a module of a part.

    Raises:
        ConfigError: the module itself doesn't exist, or the name can't be one. A missing dependency of it stays a
            ``ModuleNotFoundError``.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"no module named '{module}'")
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigError(f"no module named '{module}'") from None
        raise


def the_one_class(module: ModuleType, wanted: str, accept: Callable[[type], bool]) -> type:
    """The single class that ``module`` itself defines and ``accept`` recognises.

    Args:
        module: where to look; what it merely imports doesn't count.
        wanted: what is looked for, in words, for the error.
        accept: true for the class that is looked for.

    Raises:
        ConfigError: there is none, or more than one.
    """
    own = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]
    found = [cls for cls in own if accept(cls)]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise ConfigError(f"{module.__name__}: must define exactly one {wanted}, got {names}")
    return found[0]


def is_config_for(name: str) -> Callable[[type], bool]:
    """A test for the configuration dataclass whose field ``type`` defaults to ``name``."""

    def accept(cls: type) -> bool:
        field = getattr(cls, "__dataclass_fields__", {}).get("type")
        return field is not None and field.default == name

    return accept
