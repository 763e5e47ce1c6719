"""Quadrotors among cylinders: the world of ``haltere/SwarmForest-v0``."""
