"""One run: its agents, values and kernels as a whole. Runs in the notebook's process."""
