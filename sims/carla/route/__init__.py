"""Driving a route through any world behind CARLA's interface."""
