"""Secrets: which names hold them, and how they are taken out of text. Runs in the notebook's process."""
