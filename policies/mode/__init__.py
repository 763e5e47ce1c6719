"""MoDE: a chunk of commands out of noise, with experts that are chosen by the noise alone."""
