"""Frames on a dask cluster: queries in SQL, checked, made calls of dask's own by this process, and run by the workers."""
