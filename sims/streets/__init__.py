"""A new neighbourhood each episode, and several ways to find in it: ``haltere/MemoryStreets-v0``."""
