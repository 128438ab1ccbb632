"""The kernel's end of the bridge to the engine. Runs in an agent's kernel."""
