"""Values described in a few words. Runs in the notebook's process and in agents' kernels."""
