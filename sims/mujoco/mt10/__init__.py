"""Meta-World's ten tasks under one policy that is told in words which one it is in. ``haltere/ManipMT10-v0``."""
