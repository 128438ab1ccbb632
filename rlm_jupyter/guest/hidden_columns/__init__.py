"""Reads the hidden columns of files, in a kernel that no agent uses: a crafted file harms that kernel at most.

Travels as source into kernels: standard library only at import.
"""
