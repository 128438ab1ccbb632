"""One question's run: its agents, limits, events and state."""
