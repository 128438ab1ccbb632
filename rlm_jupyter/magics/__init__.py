"""`%%rlm` and `%rlm`. No logic of their own: everything they do has a Python twin."""

from rlm_jupyter.magics.extension import RLMMagics, load, unload

__all__ = ["RLMMagics", "load", "unload"]
