"""Conversations: many questions to one root agent, which keeps its kernel, its variables and its chat."""
