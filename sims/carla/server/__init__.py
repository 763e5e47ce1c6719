"""A server that CARLA's unmodified client drives. It speaks CARLA's protocol and isn't CARLA."""
