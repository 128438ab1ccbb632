"""Questions of agents' code to the user: who answers them, and those that wait for an answer."""
