"""Programs in the place of a model: commands, and agents of the Agent Client Protocol. Runs in the notebook's process.

Each request starts one and ends it.
"""
