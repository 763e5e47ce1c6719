"""The trainers by name: ours by directory, a plugin's by the entry-point group ``haltere.trainers``.

A trainer is a package with ``config.py`` (a dataclass whose field ``type`` is the name) and ``trainer.py`` (one class
with ``fit``, ``state_dict`` and ``load_state_dict``). ``unit``, a class variable of the dataclass, says what its steps
are where they aren't agent steps.
"""

from pathlib import Path
from typing import Any

from haltere.configs.discovery import directory_packages, import_part, is_config_for, the_one_class, with_plugins
from haltere.configs.errors import unknown_name

GROUP = "haltere.trainers"
PROTOCOL = ("fit", "state_dict", "load_state_dict")


def trainer_names() -> list[str]:
    """Names of every trainer, sorted; nothing is imported."""
    return list(_packages())


def trainer_config_type(name: str) -> type:
    """The configuration dataclass of a trainer.

    Raises:
        RequestError: no trainer has that name.
        ConfigError: its ``config.py`` doesn't define exactly one such dataclass.
    """
    return the_one_class(
        import_part(f"{_package(name)}.config"), f"dataclass with type = '{name}'", is_config_for(name)
    )


def unit_of_steps(config: type) -> str:
    """What a trainer's steps are, in words, by its configuration dataclass."""
    return str(getattr(config, "unit", "agent steps"))


def trainer_type(name: str) -> Any:  # noqa: ANN401 -- a class that fits the Trainer protocol, whatever its base
    """The trainer class; imports whatever it learns with.

    Raises:
        RequestError: no trainer has that name.
        ConfigError: its ``trainer.py`` doesn't define exactly one trainer.
    """
    module = import_part(f"{_package(name)}.trainer")
    return the_one_class(
        module, f"class with {', '.join(PROTOCOL)}", lambda cls: all(hasattr(cls, method) for method in PROTOCOL)
    )


def _package(name: str) -> str:
    """The package of a trainer."""
    packages = _packages()
    if name not in packages:
        raise unknown_name("trainer", name, packages, "haltere list")
    return packages[name]


def _packages() -> dict[str, str]:
    """Name -> package."""
    builtin = directory_packages(Path(__file__).parent, "haltere.agents", ("config.py", "trainer.py"))
    return with_plugins("trainer", builtin, GROUP)
