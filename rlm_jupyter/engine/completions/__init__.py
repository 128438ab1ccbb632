"""Requests to models: reserved, cached, retried. Runs in the notebook's process."""
