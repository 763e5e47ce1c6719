"""A server for whoever needs one for a while: begun in a process of its own, and ended with its owner."""

import json
import select
import subprocess
import sys
from dataclasses import asdict, replace
from types import TracebackType

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.server.serving import ServerOptions

STARTS_S = 60.0
"""At most until a server listens; a large map takes seconds."""
ENDS_S = 10.0


class EmbeddedServer:
    """A server in a process of its own.

        with EmbeddedServer(ServerOptions(map="grid")) as server:
            client = carla.Client(server.host, server.port)

    CARLA's client holds Python's lock in some of its calls, so that a server in a thread could never answer them.

    Attributes:
        host: where it listens.
        port: of the calls.
    """

    def __init__(self, options: ServerOptions | None = None) -> None:
        """Begin one, at any free port unless the options name one.

        Raises:
            RequestError: the options are wrong, such as a map that isn't there.
            HaltereError: it didn't begin.
        """
        options = options or ServerOptions(port=0)
        self.host = options.host
        self._told = json.dumps(asdict(options))
        command = [sys.executable, "-m", "haltere.sims.carla.server", self._told]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.port = self._listens()
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, town: str) -> "EmbeddedServer":
        """One with a town, at any free port."""
        return cls(replace(ServerOptions(), map=town, port=0))

    def _listens(self) -> int:
        """The port, once it is there.

        Raises:
            RequestError: see ``__init__``.
            HaltereError: likewise.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], STARTS_S)
        if not ready:
            raise HaltereError(f"a server with {self._told} isn't there after {STARTS_S:g} s")
        line = self._process.stdout.readline()
        said = json.loads(line) if line else {}
        if "error" in said:
            raise RequestError(said["error"])
        if "port" not in said:
            raise HaltereError(f"a server ended before it listened, with exit code {self._process.wait(ENDS_S)}")
        return int(said["port"])

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def close(self) -> None:
        """End it; a second time does nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> "EmbeddedServer":
        """See the class."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
