"""Proximal policy optimisation of a policy with memory: whole episodes, gradients through all that it remembers."""
