"""One plain completion with the whole data in its prompt, in the place of an agent."""
