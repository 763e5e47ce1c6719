"""Of which methods the checks show less than all that CARLA does."""

from collections.abc import Mapping

PARTLY: Mapping[str, str] = {
    "Vehicle.open_door": "remembered; a door isn't seen to be open",
    "Vehicle.close_door": "remembered; a door isn't seen to be open",
    "Vehicle.show_debug_telemetry": "taken; there is no window to show it in",
    "World.debug": "taken; there is no window to draw in",
    "World.spawn_actor": "whatever the attachment, it is rigid",
    "World.load_map_layer": "of buildings, foliage, props, poles and walls: nothing stands in the other layers",
    "World.unload_map_layer": "likewise",
    "World.set_pedestrians_cross_factor": "the first walker that a client's process leads keeps off roads all the same",
    "World.set_annotations_traverse_translucency": "nothing here is translucent",
    "Actor.get_component_names": "each actor is one component, `mesh`",
    "Actor.get_component_relative_transform": "likewise",
    "Actor.get_component_world_transform": "likewise",
    "Actor.get_bone_names": "of a vehicle its base and its wheels, of others their base",
    "Actor.get_bone_relative_transforms": "likewise",
    "Actor.get_bone_world_transforms": "likewise",
    "Actor.get_socket_names": "there are none",
    "Actor.get_socket_relative_transforms": "there are none",
    "Actor.get_socket_world_transforms": "there are none",
    "Vehicle.get_vehicle_bone_world_transforms": "its base and its wheels",
    "Vehicle.set_wheel_steer_direction": "told by `get_wheel_steer_angle` and by bones; not drawn",
    "Vehicle.set_wheel_pitch_angle": "told by `get_wheel_pitch_angle` and by bones; not drawn",
    "Vehicle.restore_physx_physics": "there is no other physics",
    "Client.replay_file": "of this server's own recordings, which CARLA's can't read; lights keep their own plan",
    "TrafficLight.get_light_boxes": "one box around all lamps of a light",
}
