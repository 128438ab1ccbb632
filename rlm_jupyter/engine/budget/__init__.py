"""Limits: what was spent, what is reserved, what is left. Runs in the notebook's process."""
