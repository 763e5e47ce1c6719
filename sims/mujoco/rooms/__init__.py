"""Boxes that open, show an object and close: what was in which is asked much later. ``haltere/MemoryRooms-v0``."""
