"""Skills: instructions for a kind of task, with functions, which agents load when a question needs them."""
