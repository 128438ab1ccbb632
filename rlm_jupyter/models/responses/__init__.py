"""OpenAI's Responses API: its requests, its events read as chunks of a reply, and reasoning kept across turns."""
