"""Checkpoints of an agent's kernel: frozen forks of it, of which a branch of its run makes a kernel of its own.

Travels as source into kernels: standard library only.
"""
