"""Seeded traffic and hand-driven cars for some seconds; prints a digest of every state on the way.

python drive_about.py HOST PORT [TICKS]
"""

import hashlib
import random
import struct
import sys

import carla
from surface.scene import free_port

from haltere.sims.carla.ticking import Ticker

STEP_S, CARS = 0.05, 12


def digest(host: str, port: int, ticks: int) -> str:
    """SHA-256 over the place and velocity of every actor after every tick."""
    client = carla.Client(host, port)
    client.set_timeout(20.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    world.apply_settings(settings)
    manager = client.get_trafficmanager(free_port())
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(7)
    chance = random.Random(3)
    blueprints = sorted(world.get_blueprint_library().filter("vehicle.*.*"), key=lambda each: each.id)
    cars = []
    for spot in world.get_map().get_spawn_points()[: CARS * 2 : 2]:
        car = world.try_spawn_actor(chance.choice(blueprints), spot)
        if car is not None:
            cars.append(car)
    for car in cars[2:]:
        car.set_autopilot(True, manager.get_port())
    found, ticker = hashlib.sha256(), Ticker(world, manager)
    for tick in range(ticks):
        if tick % 20 == 0:
            for car in cars[:2]:
                car.apply_control(carla.VehicleControl(throttle=chance.random(), steer=chance.uniform(-0.5, 0.5)))
        ticker.tick()
        for state in sorted(world.get_snapshot(), key=lambda each: each.id):
            place, moves = state.get_transform(), state.get_velocity()
            where, turned = place.location, place.rotation
            found.update(struct.pack("<6f", where.x, where.y, where.z, turned.pitch, turned.yaw, turned.roll))
            found.update(struct.pack("<3f", moves.x, moves.y, moves.z))
    ticker.close()
    manager.set_synchronous_mode(False)
    manager.shut_down()
    if ticker.woken:
        print(f"woken {ticker.woken} times", file=sys.stderr)
    return found.hexdigest()


if __name__ == "__main__":
    print(digest(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 500))
