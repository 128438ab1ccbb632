"""Runs, their agents and what these may spend. Runs in the notebook's process."""
