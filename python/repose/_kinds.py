"""Results as objects of the caller's library, by DLPack, without copies."""
from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Callable

from repose._repose import Tensor


def _library(name: str) -> Callable[[Any], Any] | None:
    module = sys.modules.get("jax.numpy" if name in ("jax", "jaxlib") else name)
    if name == "tensorflow" and module is not None:
        from_capsule = module.experimental.dlpack.from_dlpack
        return lambda tensor: from_capsule(tensor.__dlpack__())
    made = getattr(module, "from_dlpack", None)
    return made if callable(made) else None


def _numpy_maker(dtype: str) -> Callable[[Any], Any] | None:
    try:
        import numpy
    except ImportError:
        return None
    if dtype != "bfloat16":
        return numpy.asarray
    # numpy knows it by ml_dtypes; the buffer has the bits.
    bfloat16 = import_module("ml_dtypes").bfloat16
    return lambda tensor: numpy.asarray(tensor).view(bfloat16)


def maker_for(kind: type, dtype: str) -> Callable[[Tensor], Any] | None:
    """What makes an object of `kind`'s library of a result with elements of `dtype`; None: the
    result as it is.

    A type of a library without `from_dlpack`, and none at all, stand for numpy where it is
    installed.
    """
    if kind is Tensor:
        return None
    library = kind.__module__.partition(".")[0]
    if library != "numpy" and (made := _library(library)) is not None:
        return made
    return _numpy_maker(dtype)
