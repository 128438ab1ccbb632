"""`rlm-jupyter serve`: questions about some files over HTTP, as JSON, in OpenAI's protocol, and by a page.

Runs in a process of its own, on the loopback, for who has its token. What it opens is named on the command line.
"""
