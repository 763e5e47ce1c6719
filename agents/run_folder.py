"""A run folder: where one training run keeps its configuration, metrics, checkpoints and, in the end, its policy.

config.yaml           resolved configuration
run.json              seed, threads, and the command that started it
metrics.jsonl, tb/    one row an iteration, twice
checkpoints/<step>/   the newest three; see ``haltere.agents.checkpoint``
policy/               policy folder, once training has finished
policy.safetensors    its weights
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from haltere.agents.checkpoint import read_checkpoint, write_checkpoint, write_policy
from haltere.agents.trainer import TrainerState
from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.deploy.store import MANIFEST_NAME, remove_leftovers
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME
from haltere.policies.base import Signature

RUN_NAME = "run.json"
KEPT = 3


@dataclass(frozen=True)
class RunSettings:
    """What a run is, besides its configuration.

    Attributes:
        seed: root of every random stream.
        threads: of the worlds; never changes a result.
        command: what was typed to start it.
    """

    seed: int
    threads: int
    command: str = ""


class RunFolder:
    """The files of one run. One process at a time writes to it."""

    def __init__(self, path: Path, config: str, settings: RunSettings) -> None:
        """Remember; nothing is written before ``make``.

        Args:
            path: a folder that doesn't hold a run yet; made with its parents where it doesn't exist.
            config: text of the resolved configuration.
            settings: the rest.
        """
        self.path = path
        self.config = config
        self.settings = settings

    def check_free(self) -> None:
        """See that a new run can be made here.

        Raises:
            RequestError: the folder holds a run or a policy, or it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RequestError(f"{self.path}: a run needs a folder, and this is a file")
        if (self.path / RUN_NAME).exists():
            raise RequestError(f"{self.path}: already holds a run; go on with --resume, or choose another --out")
        if (self.path / MANIFEST_NAME).exists():
            raise RequestError(f"{self.path}: holds a policy, which a run would damage; choose another --out")

    def make(self) -> "RunFolder":
        """Write the folder of a new run; ``run.json`` last, so that a folder with it is whole. Returns itself.

        Raises:
            RequestError: it isn't free, or can't be written.
        """
        self.check_free()
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            _replace(self.path / CONFIG_NAME, self.config)
            _replace(self.path / RUN_NAME, json.dumps(asdict(self.settings), indent=2) + "\n")
        except OSError as error:
            raise RequestError(f"{self.path}: can't make a run folder here: {error.strerror}") from error
        return self

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of a run that has been started.

        Raises:
            RequestError: there is no run.
            ConfigError: its settings aren't whole.
        """
        try:
            config = (path / CONFIG_NAME).read_text(encoding="utf-8")
            text = (path / RUN_NAME).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise RequestError(f"{path}: not a run folder; expected {CONFIG_NAME} and {RUN_NAME} in it") from None
        try:
            data: Any = json.loads(text)
            settings = RunSettings(int(data["seed"]), int(data["threads"]), str(data["command"]))
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{path / RUN_NAME}: not the settings of a run ({reason})") from None
        return cls(path, config, settings)

    def set_config(self, config: str) -> None:
        """Replace the resolved configuration, where a resumed run was given another.

        Raises:
            HaltereError: it can't be written.
        """
        if config == self.config:
            return
        with self.writing(CONFIG_NAME):
            _replace(self.path / CONFIG_NAME, config)
        self.config = config

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, oldest first, whether intact or not."""
        found = [path for path in (self.path / "checkpoints").glob("*") if path.name.isdigit()]
        return sorted(found, key=lambda path: int(path.name))

    def newest_state(self, warn: Callable[[str], None]) -> TrainerState | None:
        """The state in the newest intact checkpoint; None where the run was stopped before its first.

        Args:
            warn: told of each damaged checkpoint that is passed over.

        Raises:
            IntegrityError: there are checkpoints and all of them are damaged.
        """
        folders = self.checkpoints()
        for folder in reversed(folders):
            try:
                return read_checkpoint(folder)
            except IntegrityError as error:
                warn(f"passing over a damaged checkpoint: {error}")
        if folders:
            raise IntegrityError(f"{self.path}: none of its {len(folders)} checkpoints is intact")
        return None

    def save(self, state: TrainerState, signature: Signature) -> Path:
        """Write a checkpoint under its number of steps, then let go of all but the newest three.

        Raises:
            HaltereError: it can't be written; earlier ones are as before.
        """
        step = int(state.values["steps"])
        target = self.path / "checkpoints" / str(step)
        with self.writing(f"the checkpoint at step {step:,}"):
            write_checkpoint(target, state, signature, self.config)
            for old in self.checkpoints()[:-KEPT]:
                # Renamed first: a half-deleted folder must not look like a damaged checkpoint.
                gone = old.with_name(f".tmp-{old.name}-old")
                os.rename(old, gone)
                shutil.rmtree(gone, ignore_errors=True)
            remove_leftovers(self.path / "checkpoints")
        return target

    def unfinish(self) -> None:
        """Take back the policy of a run that goes on after all: until it finishes, its newest checkpoint stands for it.

        Raises:
            HaltereError: it can't be taken back.
        """
        with self.writing("the policy"):
            (self.path / WEIGHTS_NAME).unlink(missing_ok=True)
            if (self.path / "policy").exists():
                gone = self.path / ".tmp-policy-old"
                shutil.rmtree(gone, ignore_errors=True)
                os.rename(self.path / "policy", gone)
                shutil.rmtree(gone, ignore_errors=True)

    def finish(self, state: TrainerState, signature: Signature) -> Path:
        """Write the policy folder of a finished run, and its weights on their own; returns the folder.

        Raises:
            HaltereError: it can't be written.
        """
        folder = self.path / "policy"
        with self.writing("the policy"):
            write_policy(folder, state.policy, signature, self.config)
            temporary = self.path / f".tmp-{WEIGHTS_NAME}"
            shutil.copyfile(folder / WEIGHTS_NAME, temporary)
            os.replace(temporary, self.path / WEIGHTS_NAME)
        return folder

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Turn a failure to write into an error that says what is left to go on from."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise HaltereError(f"{self.path}: couldn't write {what}: {reason}; {self.state()}") from error

    def state(self) -> str:
        """The checkpoint that a resumed run would start from, in words."""
        newest = self.checkpoints()[-1:]
        return f"the last checkpoint is {newest[0]}" if newest else "there is no checkpoint yet"


def _replace(path: Path, text: str) -> None:
    """Write a small file in one go: it has its old text or its new one, never half of it."""
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
