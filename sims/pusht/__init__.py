"""A T to be pushed onto its outline: the package gym-pusht as a task, and who demonstrates it. ``haltere/PushT-v0``."""
