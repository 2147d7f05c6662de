"""Tensor programs: scripts (`@T.prim_func`), scalar functions, and schedules."""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from repose import _repose
from repose._repose import Block, Expr, Loop, Module, PrimFunc
from repose._scope import Annotation, scripted
from repose._show import show as _show


def prim_func(f: Any = None, *, private: bool = False) -> Any:
    """The tensor program that the source of a Python function is; in a class of `@I.ir_module`, a
    part of that. Errors stand at the lines of the source."""
    if f is None:
        return lambda g: scripted(g, sys._getframe(1))
    return scripted(f, sys._getframe(1))


# ---- Scalars -----------------------------------------------------------------------------------


def _function(name: str, doc: str) -> Callable[..., Expr]:
    def call(*operands: Any) -> Expr:
        return _repose._function(name, *operands)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


exp = _function("exp", "e to the power of x.")
exp2 = _function("exp2", "2 to the power of x.")
log = _function("log", "The natural logarithm.")
log2 = _function("log2", "The logarithm to the base of 2.")
log10 = _function("log10", "The logarithm to the base of 10.")
log1p = _function("log1p", "log(1 + x).")
sqrt = _function("sqrt", "The square root.")
rsqrt = _function("rsqrt", "1 / sqrt(x).")
sigmoid = _function("sigmoid", "1 / (1 + exp(-x)).")
erf = _function("erf", "The error function.")
sin = _function("sin", "The sine.")
cos = _function("cos", "The cosine.")
tan = _function("tan", "The tangent.")
asin = _function("asin", "The inverse sine.")
acos = _function("acos", "The inverse cosine.")
atan = _function("atan", "The inverse tangent.")
atan2 = _function("atan2", "The angle of a point (y, x).")
sinh = _function("sinh", "The hyperbolic sine.")
cosh = _function("cosh", "The hyperbolic cosine.")
tanh = _function("tanh", "The hyperbolic tangent.")
asinh = _function("asinh", "The inverse hyperbolic sine.")
acosh = _function("acosh", "The inverse hyperbolic cosine.")
atanh = _function("atanh", "The inverse hyperbolic tangent.")
floor = _function("floor", "Rounded down.")
ceil = _function("ceil", "Rounded up.")
round = _function("round", "Rounded, halves to even.")
trunc = _function("trunc", "Rounded to zero.")
abs = _function("abs", "Without its sign.")
power = pow = _function("pow", "x to the power of y.")
copysign = _function("copysign", "The magnitude of x with the sign of y.")
fma = _function("fma", "a * b + c, rounded once.")
isnan = _function("isnan", "Whether it is no number.")
isinf = _function("isinf", "Whether it is infinite.")
isfinite = _function("isfinite", "Whether it is finite.")
popcount = _function("popcount", "How many bits are set.")
clz = _function("clz", "How many bits from the highest are not set.")
max = _function("max", "The larger of two; NaN if either is.")
min = _function("min", "The smaller of two; NaN if either is.")
EQ = _function("EQ", "Whether two are equal, as an expression.")
NE = _function("NE", "Whether two are different, as an expression.")
And = _function("And", "Whether both hold.")
Or = _function("Or", "Whether one of two holds.")
truncdiv = _function("Div", "The quotient, rounded to zero.")
truncmod = _function("Mod", "What that leaves.")


def Select(condition: Any, true_value: Any, false_value: Any) -> Expr:
    """One of two values, both of which are evaluated."""
    return _repose._choice(condition, true_value, false_value, False)


def if_then_else(condition: Any, true_value: Any, false_value: Any) -> Expr:
    """One of two values: only that one is evaluated."""
    return _repose._choice(condition, true_value, false_value, True)


def const(value: float, dtype: str = "index") -> Expr:
    """A number of a dtype."""
    return _repose._constant(value, dtype)


def Var(name: str, dtype: str = "index") -> Expr:
    """A symbol: `repose.dim`."""
    return _repose._symbol(name, "dimension", dtype)


# ---- What only scripts say ---------------------------------------------------------------------

Buffer = Annotation("T.Buffer")
handle = Annotation("T.handle")
_DTYPES = ("bool", "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8",
           "uint16", "uint32", "uint64", "index")
_SCALARS = {name: Annotation(f"T.{name}", name) for name in _DTYPES}


def __getattr__(name: str) -> Any:
    if name in _SCALARS:
        return _SCALARS[name]
    raise AttributeError(f"`repose.tir` has no `{name}`")


# ---- Schedules ---------------------------------------------------------------------------------


class Schedule:
    """Changes the loops of a tensor program step by step. Each primitive of docs/schedule.md is a
    method; one that would not be legal raises CompileError, and the program stays as it was. Loops,
    blocks and buffers are objects, or their names.

        s = tir.Schedule(module, "relu")
        i, j = s.get_loops("relu")
        outer, inner = s.split(j, factor=8, tail="masked")
        s.vectorize(inner)
        s.parallel(i, 16)
        module = s.mod
    """

    def __init__(self, program: Module | PrimFunc, name: str | None = None) -> None:
        if isinstance(program, PrimFunc):
            name = name or "main"
            program = Module.from_functions({name: program})
        if name is None:
            programs = [n for n in program.functions if isinstance(program[n], PrimFunc)]
            if len(programs) != 1:
                raise _error(f"which program? The module has {len(programs)}: `Schedule(module, name)`")
            name = programs[0]
        self.name = name
        self._schedule = _repose._Schedule.begin(program, name)

    @property
    def mod(self) -> Module:
        """The module with the program as it is scheduled: the pipeline leaves its loops alone."""
        return self._schedule.module()

    @property
    def func(self) -> PrimFunc:
        """The program now, with its blocks."""
        return self._schedule.func()

    @property
    def trace(self) -> list[str]:
        """The steps so far, as `apply` and `repose opt --schedule` read them."""
        return self._schedule.trace()

    @property
    def symbols(self) -> dict[str, Expr]:
        """The scalars that expressions of steps may mention, by name; loops have theirs: `loop.var`."""
        return self._schedule.symbols()

    def get_block(self, name: str) -> Block:
        """The block of this name."""
        return self._schedule.block(name)

    def get_blocks(self) -> list[Block]:
        """All blocks, in the order of the program."""
        return self._schedule.blocks()

    def get_loops(self, block: Block | str | None = None) -> list[Loop]:
        """The loops around a block, outermost first; of all blocks without one."""
        return self._schedule.loops(block)

    def apply(self, steps: str) -> None:
        """Steps as text, one a line."""
        self._schedule.apply_text(steps)

    def split(self, loop: Loop | str, factor: Any = None, tail: str = "masked", *,
              factors: list[Any] | None = None) -> list[Loop]:
        """The loop in tiles of `factor`; or `factors=[None, 4, 8]`: one loop for each. `tail`: what
        happens where the factor doesn't divide the extent (proven, masked, bounded, separate, vector,
        powers)."""
        if (factor is None) == (factors is None):
            raise _error("split: either `factor` or `factors`")
        if factors is None:
            tiles: list[Loop] = self._schedule.apply("split", loop, factor, tail)
            return tiles
        if not factors or factors[0] is not None or None in factors[1:]:
            raise _error("split: the first of `factors` is None: how many tiles there are follows")
        inner: list[Loop] = []
        outer: Any = loop
        for size in reversed(factors[1:]):
            outer, tile, *_ = self._schedule.apply("split", outer, size, tail)
            inner.insert(0, tile)
        return [outer, *inner]

    def reorder(self, *loops: Any) -> None:
        """Loops that stand in each other, in another order: outermost first."""
        given = list(loops[0]) if len(loops) == 1 and isinstance(loops[0], (list, tuple)) else list(loops)
        self._schedule.apply("reorder", given)

    def parallel(self, loop: Loop | str, grain: Any = 1) -> None:
        """The iterations of a loop on all threads, in pieces of at least `grain`."""
        self._schedule.apply("parallel", loop, grain)

    def show(self) -> None:
        """Prints the program and the steps."""
        _show(self.func.script(self.name) + "\n# " + "\n# ".join(self.trace or ["no steps yet"]))

    def __getattr__(self, name: str) -> Any:
        if name not in _repose._primitives():
            raise AttributeError(f"there is no primitive `{name}`: there are "
                                 f"{', '.join(_repose._primitives())}")
        schedule = self._schedule
        return lambda *args: schedule.apply(name, *args)


def _error(text: str) -> Exception:
    from repose.errors import CompileError
    return CompileError(text, "bad-argument")
