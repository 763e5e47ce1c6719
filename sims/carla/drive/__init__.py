"""How vehicles, props and walkers move and meet, stepped by ``libhaltere_drive``."""
