"""Models behind an OpenAI-compatible API. Runs in the notebook's process."""
