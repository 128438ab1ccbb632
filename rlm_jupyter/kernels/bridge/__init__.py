"""The engine's end of the bridge to agents' kernels. Runs in the notebook's process."""
