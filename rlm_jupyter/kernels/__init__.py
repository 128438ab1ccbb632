"""Agents' kernels, seen from the notebook's process, in which this package runs."""
