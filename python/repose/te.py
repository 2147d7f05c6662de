"""Tensor expressions: what an operator computes, one formula per element.

    A = te.placeholder((m, k), "float32", name="A")
    B = te.placeholder((k, n), "float32", name="B")
    j = te.reduce_axis((0, k), name="j")
    C = te.compute((m, n), lambda y, x: te.sum(A[y, j] * B[j, x], axis=j), name="C")
    program = te.create_prim_func([A, B, C])
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from repose import _repose
from repose._repose import Expr, PrimFunc, Reduction
from repose._repose import TETensor as Tensor
from repose.tir import (abs, acos, acosh, asin, asinh, atan, atanh, ceil, cos, cosh, erf, exp, floor,
                        if_then_else, log, log2, log10, power, round, rsqrt, sigmoid, sin, sinh, sqrt, tan,
                        tanh, trunc)

__all__ = ["Tensor", "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "compute", "const",
           "cos", "cosh", "create_prim_func", "erf", "exp", "floor", "if_then_else", "log", "log10", "log2",
           "max", "min", "placeholder", "power", "prod", "reduce_axis", "round", "rsqrt", "sigmoid", "sin",
           "sinh", "sqrt", "sum", "tan", "tanh", "trunc", "var"]


def placeholder(shape: Sequence[int | Expr], dtype: str = "float32", name: str = "placeholder") -> Tensor:
    """A tensor that is given from outside."""
    return _repose._placeholder(shape, dtype, name)


def compute(shape: Sequence[int | Expr], fcompute: Callable[..., Any], name: str = "compute") -> Tensor:
    """The tensor whose element at i, j, … is `fcompute(i, j, …)`: an expression, or one reduction."""
    return _repose._compute(shape, fcompute, name)


def reduce_axis(dom: Any, name: str = "rv") -> Expr:
    """An axis to reduce over: a pair of limits, or an extent. An empty one gives the identity."""
    return _repose._reduce_axis(dom, name)


def sum(expr: Any, axis: Any) -> Reduction:
    """The sum over an axis of `reduce_axis`, or a list of these."""
    return _repose._reduction("sum", expr, axis)


def prod(expr: Any, axis: Any) -> Reduction:
    """The product over an axis, or a list of these."""
    return _repose._reduction("prod", expr, axis)


def max(expr: Any, axis: Any) -> Reduction:
    """The largest over an axis, or a list of these. Of two expressions: `tir.max`."""
    return _repose._reduction("max", expr, axis)


def min(expr: Any, axis: Any) -> Reduction:
    """The least over an axis, or a list of these. Of two expressions: `tir.min`."""
    return _repose._reduction("min", expr, axis)


def const(value: float, dtype: str = "float32") -> Expr:
    """A number of a dtype."""
    return _repose._constant(value, dtype)


def var(name: str, dtype: str = "index") -> Expr:
    """A symbol: `repose.dim`."""
    return _repose._symbol(name, "dimension", dtype)


def create_prim_func(tensors: Sequence[Tensor]) -> PrimFunc:
    """The tensor program of these: inputs, then what is computed from them."""
    return _repose._create_prim_func(list(tensors))
