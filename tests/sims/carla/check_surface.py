"""Checks each method of CARLA's classes against a server, and prints those that fail as JSON.

    python check_surface.py HOST PORT

A program of its own: CARLA's client ends its process where one of its threads meets an error.
"""

import json
import os
import sys
from typing import Any

import carla
from surface.checks import CHECKS, LAST
from surface.scene import FILES, MANAGER, Scene, scene_of


def holds(check: Any, scene: Scene) -> bool:  # noqa: ANN401 -- a check
    """Whether it does, and raises nothing of CARLA's."""
    try:
        return bool(check(scene))
    except RuntimeError:
        return False


def failures(host: str, port: int) -> dict[str, list[str]]:
    """Of each class, the methods whose checks don't hold."""
    client = carla.Client(host, port)
    client.set_timeout(20.0)
    client.set_files_base_folder(str(FILES))
    scene = scene_of(client, client.get_world())
    failed = {}
    for name, checks in CHECKS.items():
        failed[name] = [each for each, check in checks.items() if not holds(check, scene)]
    client.get_trafficmanager(MANAGER).shut_down()
    failed["Client"] += [each for each, check in LAST.items() if not holds(check, scene)]
    return failed


if __name__ == "__main__":
    print(json.dumps(failures(sys.argv[1], int(sys.argv[2]))), flush=True)
    os._exit(0)  # what is left of the client's threads has nothing to say
