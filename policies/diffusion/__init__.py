"""Diffusion Policy: a chunk of commands out of noise."""
