"""What an agent's code asks of the engine: sub-agents, models, tools, `FINAL`. Runs in the notebook's process."""
