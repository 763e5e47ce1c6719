"""Some of Meta-World's tasks by what two cameras see of them. ``haltere/ManipPixels-v0``."""
