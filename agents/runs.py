"""Starting a training run and going on with one: what ``haltere train`` does, as two functions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haltere.agents.progress import warn
from haltere.agents.recipe import Recipe, from_yaml, to_yaml
from haltere.agents.registry import trainer_type
from haltere.agents.run_folder import RunFolder, RunSettings
from haltere.agents.trainer import Trainer
from haltere.deploy.weights import CONFIG_NAME


def start_run(recipe: Recipe, *, seed: int, path: Path, threads: int = 1, command: str = "") -> Trainer:
    """The trainer of a new run, at its beginning; its ``fit`` trains.

    Args:
        recipe: task, policy and trainer.
        seed: root of every random stream.
        path: the run folder to make.
        threads: of the worlds; never changes a result.
        command: what was typed, for the policy's card.

    Raises:
        RequestError: the folder isn't empty, or can't be made.
        ConfigError: the recipe's parts don't fit each other.
    """
    settings = RunSettings(seed, threads, command)
    folder = RunFolder(path, to_yaml(recipe), settings)
    folder.check_free()
    # Built before the folder is made, so that a recipe that doesn't work leaves nothing behind.
    trainer = _trainer(recipe, folder)
    folder.make()
    return trainer


def resume_run(path: Path, overrides: Mapping[str, Any] | None = None) -> Trainer:
    """The trainer of an earlier run, at its newest intact checkpoint; at its beginning where it has none.

    The run is locked against other processes from here to the end of ``fit``.

    Args:
        path: the run folder.
        overrides: dotted path -> value, such as a larger ``trainer.total_steps``; kept in the run's configuration.

    Raises:
        RequestError: there is no run in the folder, or another process is at work in it.
        ConfigError: an override is wrong.
        IntegrityError: all of its checkpoints are damaged, its configuration isn't theirs, or an override makes
            another network or world of it.
    """
    folder = RunFolder.open(path)
    folder.lock()
    try:
        return _resumed(folder, overrides)
    except BaseException:
        folder.unlock()
        raise


def _resumed(folder: RunFolder, overrides: Mapping[str, Any] | None) -> Trainer:
    found = folder.newest_checkpoint(warn)
    if found is not None:
        folder.check_config(found[0])
    recipe = from_yaml(folder.path / CONFIG_NAME, overrides)
    trainer = _trainer(recipe, folder)
    if found is not None:
        trainer.load_state_dict(found[1])
    folder.set_config(to_yaml(recipe))
    return trainer


def _trainer(recipe: Recipe, folder: RunFolder) -> Trainer:
    trainer: Trainer = trainer_type(recipe.trainer.type)(recipe, folder.settings.seed, folder, folder.settings.threads)
    return trainer
