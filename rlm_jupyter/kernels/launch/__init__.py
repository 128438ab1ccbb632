"""How a kernel is started, and what is sent into it first. Runs in the notebook's process."""
