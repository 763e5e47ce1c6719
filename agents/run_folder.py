"""A run folder: where one training run keeps its configuration, metrics, checkpoints and, in the end, its policy.

config.yaml           resolved configuration
config.sha256         digest of each that a resumed run was given in its place, one a line; see ``check_config``
run.json              seed, threads, and the command that started it
metrics.jsonl, tb/    one row an iteration, twice
checkpoints/<step>/   the newest three; see ``haltere.agents.checkpoint``
policy/               policy folder, once training has finished
policy.safetensors    its weights
report.html           how it learned, to look at
"""

import fcntl
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from haltere.agents.checkpoint import read_checkpoint, write_checkpoint, write_policy
from haltere.agents.trainer import TrainerState
from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.deploy.store import MANIFEST_NAME, check_place, remove_leftovers, write_file
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME
from haltere.policies.base import Signature

RUN_NAME = "run.json"
DIGESTS_NAME = "config.sha256"
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
    """The files of one run. One process at a time writes to it: the one that holds its lock."""

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
        self._release: weakref.finalize[[int], RunFolder] | None = None

    def check_free(self) -> None:
        """See that a new run can be made here.

        Raises:
            RequestError: the folder holds a run, a policy or anything else, it is a file, or it can't be made there.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RequestError(f"{self.path}: a run needs a folder, and this is a file")
        if (self.path / RUN_NAME).exists():
            raise RequestError(f"{self.path}: already holds a run; go on with --resume, or choose another --out")
        if (self.path / MANIFEST_NAME).exists():
            raise RequestError(f"{self.path}: holds a policy, which a run would damage; choose another --out")
        try:
            found = next(self.path.iterdir(), None) if self.path.exists() else None
        except OSError as error:
            raise RequestError(f"{self.path}: can't make a run folder here: {error.strerror}") from error
        if found is not None:
            raise RequestError(f"{self.path}: isn't empty (it holds {found.name}); choose another --out")
        check_place(self.path)

    def make(self) -> "RunFolder":
        """Write the folder of a new run; ``run.json`` last, so that a folder with it is whole. Returns itself.

        Raises:
            RequestError: it isn't free, or can't be written.
        """
        self.check_free()
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            write_file(self.path / CONFIG_NAME, self.config.encode())
            write_file(self.path / RUN_NAME, (json.dumps(asdict(self.settings), indent=2) + "\n").encode())
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

    def lock(self) -> None:
        """Keep other processes out of the run until ``unlock``, or until this one ends, however it ends.

        Raises:
            RequestError: another process is at work in it.
            HaltereError: the file system can't lock.
        """
        if self._release is not None:
            return
        with self.writing(RUN_NAME, "lock"):
            handle = os.open(self.path / RUN_NAME, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise RequestError(f"{self.path}: another process is training in it; wait for it or stop it") from None
            except OSError:
                os.close(handle)
                raise
        # Also where a resumed run is given up before it trains.
        self._release = weakref.finalize(self, os.close, handle)

    def unlock(self) -> None:
        """Let others in again; nothing happens where it isn't locked."""
        if self._release is not None:
            self._release()
            self._release = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """``lock``, then ``unlock`` at the end."""
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    def check_config(self, checkpoint: Path) -> None:
        """See that the run's configuration is its own: its checkpoint's, or one that a resumed run was given since.

        Args:
            checkpoint: the newest intact one, verified.

        Raises:
            IntegrityError: it was changed or damaged.
            HaltereError: its files can't be read.
        """
        theirs, digests = checkpoint / CONFIG_NAME, self.path / DIGESTS_NAME
        with self.writing(CONFIG_NAME, "check"):
            given = digests.read_bytes().splitlines() if digests.exists() else []
            if theirs.read_bytes() == self.config.encode() or _digest(self.config) in given:
                return
        raise IntegrityError(
            f"{self.path / CONFIG_NAME}: isn't the configuration of this run, which is in {theirs}; copy that back: "
            "settings change with --trainer.* and the like beside --resume"
        )

    def set_config(self, config: str) -> None:
        """Replace the resolved configuration, where a resumed run was given another.

        Raises:
            HaltereError: it can't be written.
        """
        if config == self.config:
            return
        digests = self.path / DIGESTS_NAME
        with self.writing(CONFIG_NAME):
            # The digest first: of a configuration that isn't there yet it does no harm, the reverse would look forged.
            given = digests.read_bytes() if digests.exists() else b""
            write_file(digests, given + _digest(config) + b"\n")
            write_file(self.path / CONFIG_NAME, config.encode())
        self.config = config

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, oldest first, whether intact or not."""
        found = [path for path in (self.path / "checkpoints").glob("*") if path.name.isdigit()]
        return sorted(found, key=lambda path: int(path.name))

    def newest_state(self, warn: Callable[[str], None]) -> TrainerState | None:
        """The state alone of ``newest_checkpoint``."""
        found = self.newest_checkpoint(warn)
        return None if found is None else found[1]

    def newest_checkpoint(self, warn: Callable[[str], None]) -> tuple[Path, TrainerState] | None:
        """The newest intact checkpoint and its state; None where the run was stopped before its first.

        Args:
            warn: told of each damaged checkpoint that is passed over.

        Raises:
            IntegrityError: there are checkpoints and all of them are damaged.
        """
        folders = self.checkpoints()
        for folder in reversed(folders):
            try:
                return folder, read_checkpoint(folder)
            except IntegrityError as error:
                warn(f"passing over a damaged checkpoint: {error}")
        if folders:
            raise IntegrityError(f"{self.path}: none of its {len(folders)} checkpoints is intact")
        return None

    def save(self, state: TrainerState, signature: Signature) -> Path:
        """Write a checkpoint under its number of steps, then let go of all but the newest three.

        Raises:
            HaltereError: it can't be written, and earlier ones are as before; or it is, and older ones can't be
                removed.
        """
        step = int(state.values["steps"])
        target = self.path / "checkpoints" / str(step)
        with self.writing(f"the checkpoint at step {step:,}"):
            write_checkpoint(target, state, signature, self.config)
        with self.writing("older checkpoints", "remove"):
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
            write_file(self.path / WEIGHTS_NAME, (folder / WEIGHTS_NAME).read_bytes())
        return folder

    @contextmanager
    def writing(self, what: str, verb: str = "write") -> Iterator[None]:
        """Turn a failure of the file system into an error that says what is left to go on from."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise HaltereError(f"{self.path}: couldn't {verb} {what}: {reason}; {self.state()}") from error

    def state(self) -> str:
        """The checkpoint that a resumed run would start from, in words."""
        newest = self.checkpoints()[-1:]
        return f"the last checkpoint is {newest[0]}" if newest else "there is no checkpoint yet"


def _digest(config: str) -> bytes:
    """SHA-256 of a configuration, in hexadecimal."""
    return hashlib.sha256(config.encode()).hexdigest().encode()
