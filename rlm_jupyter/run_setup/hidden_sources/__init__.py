"""Hidden columns of data that is not in this process: files, read by a kernel in the sandbox, and databases."""
