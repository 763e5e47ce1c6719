"""Entry point of the ``haltere`` command. Imports the standard library alone, so that help is instant everywhere."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

from haltere.configs.errors import HaltereError, RequestError, unknown_name
from haltere.configs.installation import EXTRAS, installed_version, needs

VERBS = {
    "list": ("", "tasks, policies, trainers and zoo entries, with simulator, control period and measured success"),
    "demos": ("TASK", "record the task's expert as a LeRobotDataset v3.0 folder; --check FOLDER plays one again"),
    "train": ("TASK", "train a policy; --resume FOLDER goes on where a run stopped"),
    "eval": ("TASK", "roll out an actor and measure it: --actor, --runtime, --episodes, --video FILE, --json FILE"),
    "compare": ("A B", "are two evaluations different? A and B are files of eval --json"),
    "export": ("TASK", "one ONNX file with its own contract inside, proven equal to the trained network"),
    "bench": ("TASK", "latency of every runtime side by side; --sim measures the simulator instead"),
    "run": ("MODEL", "fly an exported policy at its own rate, watched; without a robot, a self-test of the loop"),
    "carla": ("", "a world that CARLA's own client drives, without Unreal or a GPU: --map, --port"),
    "demo": ("", "the whole tour in under two minutes: fly, film, export, prove, time, report"),
}

WRONG_PATHS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
"""Faults of a path as typed: the request was wrong."""

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Faults of the machine even where no file is named, as when standard output is one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after ``haltere``; the process's own where None.

    Returns:
        Exit code: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted. What none of our errors
        describes is a bug of ours: it keeps its traceback and leaves with 1.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with _kept_interrupt():
            code = _dispatch(words)
        sys.stdout.flush()
    except HaltereError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has left; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        request = missing_extra(error, words[0])
        if request is None:
            raise
        return _complain(str(request), request.exit_code)
    except OSError as error:
        if error.filename is None and error.errno not in FULL_DISK:
            raise
        code = 2 if error.errno in WRONG_PATHS else 1
        return _complain(f"{error.filename or 'output'}: {error.strerror or error}", code)
    except MemoryError as error:
        return _complain(f"out of memory{f': {error}' if str(error) else ''}", 1)
    return code


@contextmanager
def _kept_interrupt() -> Iterator[None]:
    """Let Ctrl-C stay one where others, such as an import in C, have made an error of their own of it.

    Whoever takes SIGINT over for a while, as training does, is left alone; and so is who was told to ignore it.
    """
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    came: list[int] = []  # no event or lock: another signal may come while this one is noted

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def missing_extra(error: ModuleNotFoundError, what: str) -> RequestError | None:
    """The sentence for a package that an extra brings; None where no extra does, which is a bug.

    Args:
        error: what the import raised.
        what: who needs the package, such as the verb.
    """
    module = error.name or ""
    return RequestError(needs(what, module)) if module.split(".")[0] in EXTRAS else None


def help_text() -> str:
    """What ``haltere --help`` shows."""
    rows = "\n".join(f"  {f'{verb} {task}':<14}{summary}" for verb, (task, summary) in VERBS.items())
    return (
        "usage: haltere VERB [TASK] [--dotted.key value ...]\n\n"
        "Attention-based policies for embodied agents: train, evaluate, export, fly.\n\n"
        f"verbs:\n{rows}\n\n"
        "haltere VERB --help shows a verb's options; haltere VERB TASK --help adds every --env.*, --policy.* and\n"
        "--trainer.* of that task with its default. haltere --version shows the version.\n\n"
        "exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted"
    )


def _dispatch(words: list[str]) -> int:
    """Import the verb's module and run it."""
    if not words or words[0] in ("--help", "-h", "help"):
        print(help_text())
        return 0
    if words[0] == "--version":
        print(installed_version())
        return 0
    verb, *rest = words
    if verb not in VERBS:
        raise unknown_name("verb", verb, VERBS, "haltere --help")
    code: int = import_module(f"haltere.agents.cli.{verb}").run(rest)
    return code


def _complain(sentence: str, code: int) -> int:
    """Say on standard error what went wrong."""
    print(" ".join(sentence.splitlines()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
