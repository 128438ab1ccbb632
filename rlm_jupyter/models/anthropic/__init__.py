"""Anthropic's Messages API: prompts with marks for its cache, and its events read as chunks of a reply."""
