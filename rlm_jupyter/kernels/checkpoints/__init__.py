"""Checkpoints of kernels by fork, as the notebook's process sees them."""
