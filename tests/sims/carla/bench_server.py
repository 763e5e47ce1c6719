"""Ticks a second through CARLA's client, and the server's memory over reloads; on a machine with nothing else to do.

python tests/sims/carla/bench_server.py [RELOADS]
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from connecting import STEP_S, connected

from haltere.sims.carla.drive.bodies import Kind
from haltere.sims.carla.drive.drive import Drive
from haltere.sims.carla.drive.vehicles import VEHICLES, params_of, setup_of
from haltere.sims.carla.geometry import Transform, Vector
from haltere.sims.carla.scene import Ground
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.ticking import Ticker

MANAGER = 8123


def ticks_a_second(world: Any, ticks: int) -> float:  # noqa: ANN401 -- carla.World or Ticker
    """Of the clock on the wall."""
    for _ in range(50):
        world.tick()
    began = time.perf_counter()
    for _ in range(ticks):
        world.tick()
    return ticks / (time.perf_counter() - began)


def spread(world: Any, ticks: int) -> str:  # noqa: ANN401 -- carla.World or Ticker
    """Each of five stretches, one after another; "w" are those that waited for a Traffic Manager to be woken."""
    found = []
    for _ in range(5):
        before = getattr(world, "woken", 0)
        found.append(f"{ticks_a_second(world, ticks):,.0f}" + "w" * (getattr(world, "woken", 0) > before))
    return " ".join(found)


def memory_mib(pid: int) -> float:
    """Resident, of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def motion_us(vehicles: int) -> float:
    """CPU time of a tick's motion, without anything else."""
    drive = Drive(Ground(-500.0, -500.0, 500.0, np.zeros((3, 3), np.float32)), ())
    for number in range(vehicles):
        kind = VEHICLES[number % 20]
        place = Transform(Vector(9.0 * number - 300.0, 13.0 * (number % 3), 0.0))
        row = drive.add(Kind.VEHICLE, place, kind.extent, kind.mass_kg)
        drive.params[row] = params_of(kind, setup_of(kind))
    drive.bodies["throttle"][:vehicles] = 0.5
    began, ticks = time.process_time(), 2000
    for _ in range(ticks):
        drive.step(STEP_S, 5)
    return (time.process_time() - began) / ticks * 1e6


def main() -> None:
    """Motion alone, two vehicles, fifty in traffic, then reloads."""
    print(f"motion of 2 and of 60 vehicles: {motion_us(2):.0f} us and {motion_us(60):.0f} us of CPU a tick")
    reloads = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with EmbeddedServer.of("grid") as server:
        client, world = connected(server)
        library, spots = world.get_blueprint_library(), world.get_map().get_spawn_points()
        pair = [world.spawn_actor(library.find("vehicle.tesla.model3"), spots[20 * number]) for number in range(2)]
        print(f"two vehicles: {spread(world, 5000)} ticks/s")
        for car in pair:
            car.destroy()
        manager = client.get_trafficmanager(MANAGER)
        manager.set_synchronous_mode(True)
        cars = [world.spawn_actor(library.find("vehicle.audi.tt"), spot) for spot in spots[:200:4]]
        for car in cars:
            car.set_autopilot(True, MANAGER)
        with Ticker(world, manager) as ticker:
            print(f"{len(cars)} in traffic: {spread(ticker, 500)} ticks/s")
        manager.shut_down()
        before = memory_mib(server.pid)
        for number in range(1, reloads + 1):
            client.reload_world(False)
            if number in (10, reloads):
                print(f"after {number} reloads: {memory_mib(server.pid):.1f} MiB; before {before:.1f}")
        sys.stdout.flush()
        server.close()
        os._exit(0)  # the client's threads end less quietly


if __name__ == "__main__":
    main()
