"""A server in a process of its own, for ``embedded``: says where it listens, and ends with whoever began it."""

import asyncio
import json
import os
import sys

from haltere.configs.errors import HaltereError
from haltere.sims.carla.server.serving import Server, ServerOptions, serve


def main() -> int:
    """Read the options as JSON from the first argument, serve until standard input ends; exit as the command does."""
    try:
        asyncio.run(serve(ServerOptions(**json.loads(sys.argv[1])), _input_ends))
    except HaltereError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return error.exit_code
    return 0


def _input_ends(server: Server) -> "asyncio.Future[None]":
    """Whoever began this process holds the other end, and so it ends even where that one was killed."""
    assert server.endpoint is not None
    print(json.dumps({"port": server.endpoint.port, "stream_port": server.endpoint.stream_port}), flush=True)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            ended.set_result(None)

    loop.add_reader(sys.stdin, readable)
    return ended


if __name__ == "__main__":
    sys.exit(main())
