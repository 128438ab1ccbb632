"""`import dspy` in an agent's code: a DSPy whose default language model is the run's own `llm_query`."""
