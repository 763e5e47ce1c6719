"""Attention over neighbours and obstacles for one drone of a swarm."""
