"""Worlds behind CARLA's interface."""
