"""The fork server: forks agents' kernels and ends them. Runs in a process of its own.

Travels there as source, as part of the package `_rlm`: it imports the standard library, itself and `guest` only.
"""
