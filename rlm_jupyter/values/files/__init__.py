"""Files as data: what they are, what their metadata says, and small ones read. Runs in kernels and in the notebook."""
