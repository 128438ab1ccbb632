"""What is checked and prepared before a run starts. Runs in the notebook's process."""
