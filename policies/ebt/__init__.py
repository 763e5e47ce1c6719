"""EBT-Policy: a chunk of commands that a network's energy is lowest at."""
