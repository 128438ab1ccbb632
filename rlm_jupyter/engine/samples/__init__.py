"""Several blind agents for one question, their answers compared as objects, and the agent that reconciles them."""
