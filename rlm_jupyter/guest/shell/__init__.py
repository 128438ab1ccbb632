"""Cells of an agent that bash runs, where the setting `bash` is on. Runs in an agent's kernel."""
