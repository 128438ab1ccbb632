"""The code behind an answer: the backward slice of what made a value, over the cells of a run's agents."""
