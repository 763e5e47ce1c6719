"""The world behind the calls: what can be spawned, what has been, and what a tick does to it."""
