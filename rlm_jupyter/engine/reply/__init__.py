"""The parser of a model's replies: from text to code. Runs in the notebook's process."""
