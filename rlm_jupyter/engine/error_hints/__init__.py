"""Hints at errors of agents' code: what the data is, and a line of code to go on from."""
