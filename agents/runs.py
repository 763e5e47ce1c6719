"""Starting a training run and going on with one: what ``haltere train`` does, as two functions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haltere.agents.options import option
from haltere.agents.progress import warn
from haltere.agents.recipe import Recipe, check_overrides, from_yaml, to_yaml
from haltere.agents.registry import trainer_type
from haltere.agents.run_folder import RunFolder, RunSettings
from haltere.agents.trainer import Trainer
from haltere.configs.errors import IntegrityError, RequestError, short
from haltere.configs.loader import dump
from haltere.deploy.weights import CONFIG_NAME

_HARMLESS = ("trainer.total_steps", "trainer.checkpoint_every")
"""Settings that no state depends on."""


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
    trainer = _trainer(recipe, folder, threads)
    folder.make()
    return trainer


def resume_run(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] | None = None,
    threads: int | None = None,
) -> Trainer:
    """The trainer of an earlier run, at its newest intact checkpoint; at its beginning where it has none.

    The run is locked against other processes from here to the end of ``fit``.

    Args:
        path: the run folder.
        overrides: dotted path -> value, such as a larger ``trainer.total_steps``; kept in the run's configuration.
        tell: gets a sentence or two: where the run goes on, and what was changed about it.
        threads: of the worlds from here on, which never changes a result; those that it was started with where None.

    Raises:
        RequestError: there is no run in the folder, another process is at work in it, or an override makes another
            network or world of it, or does nothing.
        ConfigError: an override is wrong.
        IntegrityError: all of its checkpoints are damaged, or its configuration isn't theirs.
    """
    folder = RunFolder.open(path)
    folder.lock()
    try:
        return _resumed(folder, overrides or {}, tell or (lambda sentence: None), threads)
    except BaseException:
        folder.unlock()
        raise


def _resumed(
    folder: RunFolder, overrides: Mapping[str, Any], tell: Callable[[str], None], threads: int | None
) -> Trainer:
    found = folder.newest_checkpoint(warn)
    if found is not None:
        folder.check_config(found[0])
    recipe = from_yaml(folder.path / CONFIG_NAME, overrides)
    check_overrides(recipe, overrides, training=True)
    changed = _changed(from_yaml(folder.path / CONFIG_NAME), recipe, overrides)
    trainer = _trainer(recipe, folder, threads or folder.settings.threads)
    if found is not None:
        done, total = int(found[1].values["steps"]), recipe.trainer.total_steps
        if "trainer.total_steps" in changed and total < done:
            raise RequestError(f"--trainer.total-steps: the run has {done:,} steps already, got {total:,}")
        try:
            trainer.load_state_dict(found[1])
        except IntegrityError as error:
            suspects = {path: before for path, before in changed.items() if path not in _HARMLESS}
            if not suspects:
                raise
            raise _fixed(suspects) from error
    folder.set_config(to_yaml(recipe))
    tell(_where(folder.path, None if found is None else int(found[1].values["steps"]), recipe.trainer.total_steps))
    if changed:
        each = (f"{option(path)} {_setting(recipe, path)} (was {before})" for path, before in changed.items())
        tell(f"changed: {', '.join(each)}")
    return trainer


def _changed(before: Recipe, after: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Path -> earlier value of every override that isn't what the run had already."""
    values = {path: _setting(before, path) for path in overrides}
    return {path: value for path, value in values.items() if value != _setting(after, path)}


def _setting(recipe: Recipe, path: str) -> Any:  # noqa: ANN401 -- any setting
    """The value at a dotted path; None where its part is off or has no such setting."""
    part, *keys = path.split(".")
    value: Any = dump(getattr(recipe, part))
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _fixed(suspects: Mapping[str, Any]) -> RequestError:
    """That what was learned so far doesn't fit the settings that were changed."""
    if len(suspects) == 1:
        path, before = next(iter(suspects.items()))
        return RequestError(f"{option(path)}: can't change with --resume: the run keeps its own ({short(before)})")
    each = ", ".join(f"{option(path)} ({short(before)})" for path, before in suspects.items())
    return RequestError(f"--resume: the run keeps its own of one of these, or of more: {each}")


def _where(path: Path, steps: int | None, total: int) -> str:
    """Where a resumed run goes on."""
    if steps is None:
        return f"going on in {path}: nothing saved yet, so it begins anew; Ctrl-C stops with a checkpoint"
    if steps >= total:
        return f"{path} is finished: {steps:,} steps; a larger --trainer.total-steps trains on"
    return f"going on in {path} from step {steps:,}; Ctrl-C stops with a checkpoint"


def _trainer(recipe: Recipe, folder: RunFolder, threads: int) -> Trainer:
    trainer: Trainer = trainer_type(recipe.trainer.type)(recipe, folder.settings.seed, folder, threads)
    return trainer
