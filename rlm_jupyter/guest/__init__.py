"""What runs in an agent's kernel. Travels there as source, as part of the package `_rlm`.

It imports the standard library, itself and `values.codec` and `values.describe` only, by relative imports.
"""
