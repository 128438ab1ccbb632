"""One agent: its loop, its prompt, its kernel. Runs in the notebook's process."""
