"""What happens in a run, as events, and the tree that follows from them. Runs in the notebook's process.

Views and records import this package and nothing of the engine.
"""
