"""Values as bytes, decoded without running code. Runs in the notebook's process and in agents' kernels."""
