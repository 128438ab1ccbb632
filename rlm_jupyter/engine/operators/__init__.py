"""Questions about a table as a whole that are answered by many checked requests: top, join, search, group, reduce."""
