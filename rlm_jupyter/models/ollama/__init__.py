"""Ollama by its own protocol, which alone takes the size of the context."""
