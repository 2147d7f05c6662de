"""TVMScript's three languages: `from repose.script import ir as I, relax as R, tir as T`."""
from repose import ir, relax, tir

__all__ = ["ir", "relax", "tir"]
