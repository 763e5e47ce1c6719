"""Worlds on MuJoCo."""
