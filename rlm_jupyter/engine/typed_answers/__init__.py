"""Answers of a type that was asked for: schemas, read and checked. Runs in the notebook's process."""
