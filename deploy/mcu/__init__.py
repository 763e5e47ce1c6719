"""Policies for microcontrollers: C99 with nothing around it, its proof, and its cost, counted on the compiled code."""
