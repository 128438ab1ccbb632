"""Agents' kernels: start, execute, interrupt, stop; the bridge from a kernel to the engine."""
