"""The towns: OpenDRIVE maps of our own, what stands in them, and maps of others by path."""
