"""What holds for every test."""

from hypothesis import settings

# A busy machine mustn't fail an example for its slowness, and CI must try what a developer tried.
settings.register_profile("haltere", deadline=None, derandomize=True)
settings.load_profile("haltere")
