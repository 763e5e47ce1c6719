"""Memories for policies that must recall what they saw: one interface, state in the open, for steps and sequences."""
