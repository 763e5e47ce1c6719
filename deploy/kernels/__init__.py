"""Fused kernels from Python: ctypes over ``libhaltere_kernels``, numpy arrays in and out; needs nothing else."""
