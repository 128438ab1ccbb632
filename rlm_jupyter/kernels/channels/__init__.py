"""Jupyter's channels to a kernel, and what comes over them. Runs in the notebook's process."""
