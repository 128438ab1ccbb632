"""How often a model's answers are right: tasks with generated data, graders, and harnesses to compare."""
