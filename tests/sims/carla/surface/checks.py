"""A check of each method of CARLA's classes: it works where its check holds; what has no check doesn't work yet.

Calls that the client doesn't wait for return nothing whatever becomes of them: what becomes of those is seen in the
server's log, which must tell of no call that failed or isn't known.
"""

from collections.abc import Callable, Mapping
from typing import Any

import carla

from . import parts, reaching, recording, walking
from .scene import FILES, MANAGER, Scene

Check = Callable[[Scene], Any]


def near(first: Any, second: Any, most: float = 1e-3) -> bool:  # noqa: ANN401 -- numbers or CARLA's vectors
    """Whether two numbers or two vectors are nearly one."""
    if isinstance(first, (int, float)):
        return abs(first - second) <= most
    return bool((first - second).length() <= most)


def settled(scene: Scene, call: Callable[[], Any], *, ticks: int = 1) -> bool:
    """Call, and let the world go on."""
    call()
    return scene.ticks(ticks)


def moved_by(scene: Scene, call: Callable[[], Any], ticks: int = 3) -> carla.Vector3D:
    """How much a call changes the car's velocity."""
    before = scene.car.get_velocity()
    settled(scene, call, ticks=ticks)
    return scene.car.get_velocity() - before


def _events(scene: Scene) -> bool:
    seen: list[int] = []
    number = scene.world.on_tick(lambda snapshot: seen.append(snapshot.frame))
    last = [scene.world.tick() for _ in range(3)][-1]
    scene.world.remove_on_tick(number)
    scene.ticks(2)
    return bool(seen) and max(seen) <= last


def _spawned(scene: Scene, method: str) -> bool:
    library = scene.world.get_blueprint_library()
    place = scene.map.get_spawn_points()[20]
    actor = getattr(scene.world, method)(library.find("vehicle.audi.tt"), place)
    return settled(scene, lambda: None) and near(actor.get_location().x, place.location.x, 0.1) and actor.destroy()


def _batch(scene: Scene) -> bool:
    control = carla.VehicleControl(steer=0.25)
    scene.client.apply_batch([carla.command.ApplyVehicleControl(scene.car.id, control)])
    return scene.ticks(2) and near(scene.car.get_control().steer, 0.25)


def _batch_sync(scene: Scene) -> bool:
    answers = scene.client.apply_batch_sync([carla.command.ApplyVehicleControl(scene.car.id, carla.VehicleControl())])
    return [answer.actor_id for answer in answers] == [scene.car.id]


def _weather(scene: Scene) -> bool:
    scene.world.set_weather(carla.WeatherParameters.HardRainSunset)
    return bool(scene.world.get_weather() == carla.WeatherParameters.HardRainSunset)


def _gravity(scene: Scene) -> bool:
    """It is kept until it is set anew."""
    scene.world.set_imui_sensor_gravity(3.7)
    kept = scene.world.get_imui_sensor_gravity()
    scene.world.set_imui_sensor_gravity(9.81)
    return near(kept, 3.7)


def _settings(scene: Scene) -> bool:
    settings = scene.world.get_settings()
    settings.max_substeps = 7
    scene.world.apply_settings(settings)
    return bool(scene.world.get_settings().max_substeps == 7)


CLIENT: Mapping[str, Check] = {
    "apply_batch": _batch,
    "apply_batch_sync": _batch_sync,
    "get_available_maps": lambda s: len(s.client.get_available_maps()) >= 1,
    "get_client_version": lambda s: s.client.get_client_version() == "0.9.16",
    "get_server_version": lambda s: s.client.get_server_version() == "0.9.16",
    "get_required_files": walking.files(FILES),
    "request_file": walking.files(FILES),
    "get_trafficmanager": lambda s: s.client.get_trafficmanager(MANAGER).get_port() == MANAGER,
    "load_world_if_different": lambda s: s.client.load_world_if_different("grid") is None,
    "start_recorder": recording.told,
    "stop_recorder": recording.told,
    "show_recorder_file_info": recording.told,
    "show_recorder_collisions": recording.met,
    "show_recorder_actors_blocked": recording.blocked,
    "replay_file": recording.replayed,
    "stop_replayer": recording.replayed,
    "set_replayer_time_factor": recording.replayed,
    "set_replayer_ignore_spectator": recording.ignored,
    "set_replayer_ignore_hero": recording.heroes,
    "set_files_base_folder": walking.files(FILES),
    "get_world": lambda s: s.client.get_world().id == s.world.id,
    "set_timeout": lambda s: s.client.set_timeout(20.0) is None,
}

WORLD: Mapping[str, Check] = {
    "get_random_location_from_navigation": walking.anywhere,
    "set_pedestrians_seed": walking.seeded,
    "set_pedestrians_cross_factor": walking.crosses,
    "id": lambda s: s.world.id == s.client.get_world().id,
    "apply_settings": _settings,
    "get_settings": lambda s: s.world.get_settings().synchronous_mode,
    "cast_ray": reaching.rays,
    "ground_projection": reaching.roof,
    "project_point": reaching.up_and_down,
    "enable_environment_objects": reaching.disabled,
    "load_map_layer": reaching.unloaded,
    "unload_map_layer": reaching.unloaded,
    "get_imui_sensor_gravity": lambda s: near(s.world.get_imui_sensor_gravity(), 9.81),
    "set_imui_sensor_gravity": _gravity,
    "set_annotations_traverse_translucency": lambda s: s.world.set_annotations_traverse_translucency(True) is None,
    "debug": lambda s: s.world.debug.draw_point(carla.Location(), life_time=1.0) is None,
    "freeze_all_traffic_lights": lambda s: settled(s, lambda: s.world.freeze_all_traffic_lights(True))
    and s.light.is_frozen()
    and settled(s, lambda: s.world.freeze_all_traffic_lights(False))
    and not s.light.is_frozen(),
    "get_actor": lambda s: s.world.get_actor(s.car.id).type_id == s.car.type_id,
    "get_actors": lambda s: {s.car.id, s.walker.id, s.light.id} <= {actor.id for actor in s.world.get_actors()},
    "get_blueprint_library": lambda s: len(s.world.get_blueprint_library().filter("vehicle.*")) >= 20,
    "get_environment_objects": lambda s: len(s.world.get_environment_objects(carla.CityObjectLabel.Buildings)) > 5,
    "get_level_bbs": lambda s: len(s.world.get_level_bbs(carla.CityObjectLabel.Buildings)) > 5,
    "get_map": lambda s: s.world.get_map().name == s.map.name,
    "get_names_of_all_objects": lambda s: len(s.world.get_names_of_all_objects()) > 10,
    "get_snapshot": lambda s: s.world.get_snapshot().has_actor(s.car.id),
    "get_spectator": lambda s: s.world.get_spectator().type_id == "spectator",
    "get_traffic_sign": lambda s: (
        s.world.get_traffic_sign(s.map.get_all_landmarks_of_type("206")[0]).type_id == "traffic.stop"
    ),
    "get_traffic_light": lambda s: s.world.get_traffic_light(
        s.map.get_all_landmarks_from_id(s.light.get_opendrive_id())[0]
    ).id
    == s.light.id,
    "get_traffic_light_from_opendrive_id": lambda s: s.world.get_traffic_light_from_opendrive_id(
        s.light.get_opendrive_id()
    ).id
    == s.light.id,
    "get_traffic_lights_in_junction": lambda s: any(
        len(s.world.get_traffic_lights_in_junction(entry.get_junction().id)) > 1
        for entry, _ in s.map.get_topology()
        if entry.is_junction
    ),
    "get_traffic_lights_from_waypoint": lambda s: any(
        s.world.get_traffic_lights_from_waypoint(entry, 60.0) for entry, _ in s.map.get_topology()
    ),
    "get_vehicles_light_states": lambda s: s.car.id in s.world.get_vehicles_light_states(),
    "get_weather": lambda s: s.world.get_weather() is not None,
    "set_weather": _weather,
    "on_tick": _events,
    "remove_on_tick": _events,
    "reset_all_traffic_lights": lambda s: settled(s, s.world.reset_all_traffic_lights)
    and s.light.get_elapsed_time() < 1.0,
    "spawn_actor": lambda s: _spawned(s, "spawn_actor"),
    "try_spawn_actor": lambda s: _spawned(s, "try_spawn_actor"),
    "tick": lambda s: s.world.tick() + 1 == s.world.tick(),
    "wait_for_tick": lambda s: _waits(s),
}


def _waits(scene: Scene) -> bool:
    """Another client's tick ends the wait."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scene.world.wait_for_tick, 10.0)
        while not waiting.done():
            scene.world.tick()
        return waiting.result().frame > 0


def _put(scene: Scene, call: Callable[[], Any], where: carla.Location) -> bool:
    before = scene.car.get_transform()
    settled(scene, call)
    arrived = near(scene.car.get_location(), where, 0.6)
    scene.car.set_transform(before)
    return scene.ticks(2) and arrived


def _placed(scene: Scene, method: str) -> bool:
    place = scene.map.get_spawn_points()[30]
    wanted = place if method == "set_transform" else place.location
    return _put(scene, lambda: getattr(scene.car, method)(wanted), place.location)


def _destroys(scene: Scene) -> bool:
    blueprint = scene.world.get_blueprint_library().find("static.prop.box01")
    box = scene.world.spawn_actor(blueprint, scene.map.get_spawn_points()[40])
    scene.ticks()
    return bool(box.destroy()) and scene.ticks() and not scene.world.get_snapshot().has_actor(box.id)


def _holds(scene: Scene) -> bool:
    scene.ticks(60)  # until it stands on its wheels again
    scene.car.enable_constant_velocity(carla.Vector3D(3.0, 0.0, 0.0))
    scene.ticks(10)
    held = near(scene.car.get_velocity().length(), 3.0, 0.05)
    scene.car.disable_constant_velocity()
    scene.car.apply_control(carla.VehicleControl(brake=1.0))
    return scene.ticks(60) and held and scene.car.get_velocity().length() < 0.1


def _falls(scene: Scene) -> bool:
    before = scene.car.get_transform()
    scene.car.set_enable_gravity(False)
    scene.car.set_location(before.location + carla.Location(z=10.0))
    scene.ticks(10)
    hung = scene.car.get_location().z > before.location.z + 9.0
    scene.car.set_enable_gravity(True)
    scene.ticks(60)
    return hung and scene.car.get_location().z < before.location.z + 1.0


def _still(scene: Scene) -> bool:
    scene.car.set_simulate_physics(False)
    scene.car.apply_control(carla.VehicleControl(throttle=1.0))
    before = scene.car.get_location()
    scene.ticks(20)
    stood = near(scene.car.get_location(), before, 1e-4)
    scene.car.apply_control(carla.VehicleControl(brake=1.0))
    scene.car.set_simulate_physics(True)
    return stood and scene.ticks(5)


ACTOR: Mapping[str, Check] = {
    "id": lambda s: s.car.id > 0,
    "type_id": lambda s: s.car.type_id == "vehicle.tesla.model3",
    "parent": lambda s: s.sensor.parent.id == s.car.id and s.car.parent is None,
    "semantic_tags": lambda s: int(carla.CityObjectLabel.Car) in [int(tag) for tag in s.car.semantic_tags],
    "actor_state": lambda s: s.car.actor_state == carla.ActorState.Active,
    "attributes": lambda s: s.car.attributes["number_of_wheels"] == "4",
    "bounding_box": lambda s: s.car.bounding_box.extent.x > 1.5,
    "is_alive": lambda s: s.car.is_alive,
    "get_bone_names": parts.bones,
    "get_bone_relative_transforms": parts.bones,
    "get_bone_world_transforms": parts.bones,
    "get_component_names": lambda s: list(s.car.get_component_names()) == ["mesh"],
    "get_component_relative_transform": lambda s: s.car.get_component_relative_transform("mesh") == carla.Transform(),
    "get_component_world_transform": lambda s: (
        near(s.car.get_component_world_transform("mesh").location, s.car.get_location())
    ),
    "get_socket_names": lambda s: len(s.car.get_socket_names()) == 0,
    "get_socket_relative_transforms": lambda s: len(s.car.get_socket_relative_transforms()) == 0,
    "get_socket_world_transforms": lambda s: len(s.car.get_socket_world_transforms()) == 0,
    "set_collisions": parts.passes,
    "is_active": lambda s: s.car.is_active,
    "is_dormant": lambda s: not s.car.is_dormant,
    "get_world": lambda s: s.car.get_world().id == s.world.id,
    "get_location": lambda s: near(s.car.get_location(), s.car.get_transform().location),
    "get_transform": lambda s: near(
        s.car.get_transform().location, s.world.get_snapshot().find(s.car.id).get_transform().location
    ),
    "get_velocity": lambda s: moved_by(s, lambda: s.car.set_target_velocity(5.0 * s.ahead)).length() > 2.0,
    "get_acceleration": lambda s: settled(s, lambda: s.car.set_target_velocity(carla.Vector3D(x=3.0)), ticks=2)
    and s.car.get_acceleration().length() > 0.01,
    "get_angular_velocity": lambda s: settled(s, lambda: s.car.set_target_angular_velocity(carla.Vector3D(z=30.0)))
    and s.car.get_angular_velocity().length() > 1.0,
    "set_target_velocity": lambda s: moved_by(s, lambda: s.car.set_target_velocity(-5.0 * s.ahead)).length() > 2.0,
    "set_target_angular_velocity": lambda s: settled(
        s, lambda: s.car.set_target_angular_velocity(carla.Vector3D(z=40.0))
    )
    and s.car.get_angular_velocity().z > 1.0,
    "set_location": lambda s: _placed(s, "set_location"),
    "set_transform": lambda s: _placed(s, "set_transform"),
    "add_impulse": lambda s: moved_by(s, lambda: s.car.add_impulse(carla.Vector3D(z=9000.0)), 1).z > 1.0,
    "add_force": lambda s: moved_by(s, lambda: s.car.add_force(carla.Vector3D(z=200000.0)), 1).z > 1.0,
    "add_angular_impulse": lambda s: settled(s, lambda: s.car.add_angular_impulse(carla.Vector3D(z=5000.0)))
    and s.car.get_angular_velocity().length() > 1.0,
    "add_torque": lambda s: settled(s, lambda: s.car.add_torque(carla.Vector3D(z=100000.0)))
    and s.car.get_angular_velocity().length() > 1.0,
    "enable_constant_velocity": _holds,
    "disable_constant_velocity": _holds,
    "set_enable_gravity": _falls,
    "set_simulate_physics": _still,
    "destroy": _destroys,
}


def _physics(scene: Scene) -> bool:
    physics = scene.car.get_physics_control()
    physics.mass += 100.0
    scene.car.apply_physics_control(physics)
    return near(scene.car.get_physics_control().mass, physics.mass)


def _gains(scene: Scene) -> bool:
    gains = carla.AckermannControllerSettings(speed_kp=0.2, speed_ki=0.01, speed_kd=0.25, accel_kp=0.02)
    scene.car.apply_ackermann_controller_settings(gains)
    return near(scene.car.get_ackermann_controller_settings().speed_kp, 0.2, 1e-6)


def _held_speed(scene: Scene) -> bool:
    scene.car.set_transform(scene.map.get_spawn_points()[0])
    scene.car.apply_ackermann_control(carla.VehicleAckermannControl(speed=6.0))
    scene.ticks(120)
    reached = scene.car.get_velocity().length()
    scene.car.apply_control(carla.VehicleControl(brake=1.0))
    scene.car.set_transform(scene.map.get_spawn_points()[0])
    return scene.ticks(60) and abs(reached - 6.0) < 1.0


def _lit(scene: Scene) -> bool:
    lights = carla.VehicleLightState(carla.VehicleLightState.LowBeam | carla.VehicleLightState.Brake)
    scene.car.set_light_state(lights)
    return scene.ticks() and scene.car.get_light_state() == lights


def _at_light(scene: Scene) -> bool:
    stop = scene.light.get_stop_waypoints()[0].transform
    stop.location.z += 0.3
    scene.light.set_state(carla.TrafficLightState.Red)
    before = scene.car.get_transform()
    scene.car.set_transform(stop)
    scene.ticks(2)
    found = scene.car.is_at_traffic_light(), scene.car.get_traffic_light(), scene.car.get_traffic_light_state()
    scene.car.set_transform(before)
    return scene.ticks() and found[0] and found[1] is not None and found[2] == carla.TrafficLightState.Red


VEHICLE: Mapping[str, Check] = {
    "apply_control": lambda s: settled(s, lambda: s.car.apply_control(carla.VehicleControl(brake=0.5)))
    and near(s.car.get_control().brake, 0.5),
    "get_control": lambda s: s.car.get_control().gear is not None and near(s.car.get_control().brake, 0.5),
    "apply_ackermann_control": _held_speed,
    "apply_ackermann_controller_settings": _gains,
    "get_ackermann_controller_settings": _gains,
    "apply_physics_control": _physics,
    "get_physics_control": _physics,
    "get_light_state": _lit,
    "set_light_state": _lit,
    "get_speed_limit": lambda s: s.car.get_speed_limit() == 50.0,
    "get_traffic_light": _at_light,
    "get_traffic_light_state": _at_light,
    "is_at_traffic_light": _at_light,
    "get_failure_state": lambda s: s.car.get_failure_state() == carla.VehicleFailureState.NONE,
    "get_vehicle_bone_world_transforms": parts.vehicle_bones,
    "get_wheel_pitch_angle": parts.wheels,
    "set_wheel_pitch_angle": parts.wheels,
    "set_wheel_steer_direction": parts.wheels,
    "restore_physx_physics": lambda s: s.car.restore_physx_physics() is None,
    "get_wheel_steer_angle": lambda s: settled(
        s, lambda: s.car.apply_control(carla.VehicleControl(steer=1.0)), ticks=20
    )
    and s.car.get_wheel_steer_angle(carla.VehicleWheelLocation.FL_Wheel) > 10.0,
    "open_door": lambda s: s.car.open_door(carla.VehicleDoor.FL) is None,
    "close_door": lambda s: s.car.close_door(carla.VehicleDoor.All) is None,
    "show_debug_telemetry": lambda s: s.car.show_debug_telemetry(True) is None,
    "set_autopilot": lambda s: _drives_by_itself(s),
}


def _drives_by_itself(scene: Scene) -> bool:
    scene.car.set_transform(scene.map.get_spawn_points()[0])
    manager = scene.client.get_trafficmanager(MANAGER)
    manager.set_synchronous_mode(True)
    scene.car.set_autopilot(True, MANAGER)
    scene.ticks(80)
    fast = scene.car.get_velocity().length()
    scene.car.set_autopilot(False, MANAGER)
    return bool(fast > 2.0)


WALKER: Mapping[str, Check] = {
    "apply_control": lambda s: _walks(s),
    "get_control": lambda s: _walks(s) and near(s.walker.get_control().speed, 1.5),
}


def _walks(scene: Scene) -> bool:
    before = scene.walker.get_location()
    scene.walker.apply_control(carla.WalkerControl(carla.Vector3D(0.0, 1.0, 0.0), 1.5, False))
    scene.ticks(20)
    return near(scene.walker.get_location().distance(before), 1.5, 0.2)


def _timed(scene: Scene, name: str) -> bool:
    getattr(scene.light, f"set_{name}_time")(7.0)
    return scene.ticks() and near(getattr(scene.light, f"get_{name}_time")(), 7.0)


LIGHT: Mapping[str, Check] = {
    "state": lambda s: s.light.state == s.light.get_state(),
    "get_state": lambda s: s.light.get_state() in list(carla.TrafficLightState.values.values()),
    # From the plan's beginning, so that it doesn't change the light in the same tick.
    "set_state": lambda s: s.light.reset_group() is None
    and settled(s, lambda: s.light.set_state(carla.TrafficLightState.Off))
    and s.light.get_state() == carla.TrafficLightState.Off,
    "set_green_time": lambda s: _timed(s, "green"),
    "get_green_time": lambda s: _timed(s, "green"),
    "set_yellow_time": lambda s: _timed(s, "yellow"),
    "get_yellow_time": lambda s: _timed(s, "yellow"),
    "set_red_time": lambda s: _timed(s, "red"),
    "get_red_time": lambda s: _timed(s, "red"),
    "get_elapsed_time": lambda s: s.light.get_elapsed_time() >= 0.0,
    "freeze": lambda s: settled(s, lambda: s.light.freeze(True))
    and s.light.is_frozen()
    and settled(s, lambda: s.light.freeze(False)),
    "is_frozen": lambda s: not s.light.is_frozen(),
    "get_pole_index": lambda s: s.light.get_pole_index() >= 0,
    "get_group_traffic_lights": lambda s: len(s.light.get_group_traffic_lights()) > 1,
    "reset_group": lambda s: settled(s, s.light.reset_group) and s.light.get_elapsed_time() < 1.0,
    "get_affected_lane_waypoints": lambda s: len(s.light.get_affected_lane_waypoints()) > 0,
    "get_stop_waypoints": lambda s: len(s.light.get_stop_waypoints()) > 0,
    "get_light_boxes": lambda s: len(s.light.get_light_boxes()) > 0,
    "get_opendrive_id": lambda s: s.light.get_opendrive_id() != "",
}

MAP: Mapping[str, Check] = {
    "name": lambda s: s.map.name.endswith("grid"),
    "generate_waypoints": lambda s: len(s.map.generate_waypoints(5.0)) > 100,
    "get_all_landmarks": lambda s: len(s.map.get_all_landmarks()) > 10,
    "get_all_landmarks_from_id": lambda s: len(s.map.get_all_landmarks_from_id(s.light.get_opendrive_id())) > 0,
    "get_all_landmarks_of_type": lambda s: len(s.map.get_all_landmarks_of_type("1000001")) > 3,
    "get_landmark_group": lambda s: len(s.map.get_landmark_group(s.map.get_all_landmarks_of_type("1000001")[0])) > 0,
    "get_crosswalks": lambda s: len(s.map.get_crosswalks()) > 10,
    "get_spawn_points": lambda s: len(s.map.get_spawn_points()) >= 100,
    "get_topology": lambda s: len(s.map.get_topology()) > 20,
    "get_waypoint": lambda s: near(_on_road(s), s.car.get_location(), 5.0),
    "get_waypoint_xodr": lambda s: _again(s),
    "cook_in_memory_map": lambda s: parts.written(s.map.cook_in_memory_map),
    "save_to_disk": lambda s: parts.written(s.map.save_to_disk),
    "to_opendrive": lambda s: s.map.to_opendrive().startswith("<?xml") or "<OpenDRIVE" in s.map.to_opendrive()[:200],
    "transform_to_geolocation": lambda s: s.map.transform_to_geolocation(carla.Location(x=100.0)).longitude > 0.0,
    "geolocation_to_transform": lambda s: near(
        s.map.geolocation_to_transform(s.map.transform_to_geolocation(carla.Location(50.0, 20.0, 0.0))),
        carla.Location(50.0, 20.0, 0.0),
        0.1,
    ),
}


def _on_road(scene: Scene) -> carla.Location:
    return scene.map.get_waypoint(scene.car.get_location()).transform.location


def _again(scene: Scene) -> bool:
    first = scene.map.get_waypoint(scene.car.get_location())
    second = scene.map.get_waypoint_xodr(first.road_id, first.lane_id, first.s)
    return near(first.transform.location, second.transform.location, 0.01)


SENSOR: Mapping[str, Check] = {
    "listen": lambda s: s.sensor.listen(lambda event: None) is None,
    "is_listening": lambda s: s.sensor.is_listening(),
    "stop": lambda s: s.sensor.stop() is None and not s.sensor.is_listening(),
}


def _own_map(scene: Scene) -> bool:
    text = scene.map.to_opendrive()
    world = scene.client.generate_opendrive_world(text, carla.OpendriveGenerationParameters())
    return bool(world.id != scene.world.id and world.get_map().to_opendrive() == text)


LAST: Mapping[str, Check] = {
    "reload_world": lambda s: s.client.reload_world().id != s.world.id,
    "load_world": lambda s: s.client.load_world("grid").get_map().name == s.map.name,
    "generate_opendrive_world": _own_map,
}
"""Of the client; they end the world that all others need."""

CHECKS: Mapping[str, Mapping[str, Check]] = {
    "Client": CLIENT,
    "World": WORLD,
    "Actor": ACTOR,
    "Vehicle": VEHICLE,
    "Walker": WALKER,
    "TrafficLight": LIGHT,
    "Map": MAP,
    "Sensor": SENSOR,
    "WalkerAIController": {
        "start": walking.goes,
        "go_to_location": walking.goes,
        "set_max_speed": walking.goes,
        "stop": walking.stops,
    },
}
