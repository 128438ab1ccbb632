"""Functions, environment variables and servers that an agent's code may use."""
