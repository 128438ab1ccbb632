"""`rlm-jupyter mcp`: a server that lets other agents ask about files, by handles and within bounds.

Its clients are other programs' models: what they send is never a path of their own choice, a pattern without bounds
or code, and no answer holds a path of this machine.
"""
