"""What sensors see of a scene and of what moves in it, drawn and cast by ``libhaltere_sight``."""
