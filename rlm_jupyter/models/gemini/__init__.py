"""Google's Gemini API: its requests, its chunks read as those of a reply, and thoughts kept across turns."""
