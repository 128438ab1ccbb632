"""Frames on a dask cluster: checked queries, made calls of dask's own by this process, and run by the workers."""
