"""Values and what is said of them: descriptions, a codec that runs no code, buffers that are shared."""
