"""A block behind a pane of glass, to be pushed to its goal: left or right round the pane. ``haltere/ManipFork-v0``."""
