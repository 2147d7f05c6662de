"""Modules of the IR: from Python source, compared, shown."""
from __future__ import annotations

import keyword
import re
import sys

from repose import _repose
from repose._repose import Expr, GraphFunction, Module, PrimFunc, Type, Value
from repose._scope import Annotation, scope_of
from repose._scope import read as _read

__all__ = ["Expr", "GraphFunction", "Module", "PrimFunc", "Type", "Value",
           "assert_structural_equal", "dim", "ir_module", "module_attrs", "module_global_infos",
           "structural_equal", "vdevice"]

IRModule = Module

# What stands in the class of a module and is the reader's.
module_attrs = Annotation("I.module_attrs")
module_global_infos = Annotation("I.module_global_infos")
vdevice = Annotation("I.vdevice")


def ir_module(cls: type) -> Module:
    """The module that a class of `@R.function` and `@T.prim_func` is. Errors stand at the lines of
    the source. Names that the script does not bind are looked up where it stands: numbers, strings,
    lists of them, symbols, and arrays (in `R.const`)."""
    scope = scope_of(sys._getframe(1), None)
    for function in vars(cls).values():
        scope = {**scope_of(None, getattr(function, "function", None)), **scope}
    return _read(cls, scope)


def dim(name: str, *, dtype: str = "index") -> Expr:
    """A symbol for a dimension: at least 0. Arithmetic makes expressions: `dim("m") * 224`."""
    return _repose._symbol(name, "dimension", dtype)


def structural_equal(left: Module, right: Module) -> bool:
    """Whether the two are one module, up to the names of what functions bind."""
    return left == right


def assert_structural_equal(left: Module, right: Module) -> None:
    """Raises AssertionError where the two differ, which says where: the functions that only one
    has, or the first line in which the texts of a function differ, names of variables made equal."""
    if left == right:
        return
    for one, other, side in ((left, right, "right"), (right, left, "left")):
        missing = [name for name in one.functions if name not in other]
        if missing:
            raise AssertionError(f"the {side} module has no `{'`, `'.join(missing)}`")
    for name in left.functions:
        if left[name] != right[name]:
            raise AssertionError(_difference(name, left, right))
    raise AssertionError("the attributes of the modules differ")


_TOKEN = re.compile(r"\.?[A-Za-z_]\w*|\d[\w.]*|\S")


def _same_line(a: str, b: str, renamed: dict[str, str], back: dict[str, str]) -> bool:
    """Whether the two are one line if names of `a` are those of `b`, the same ones everywhere."""
    left, right = _TOKEN.findall(a), _TOKEN.findall(b)
    if len(left) != len(right):
        return False
    for x, y in zip(left, right):
        if x.isidentifier() and y.isidentifier() and not keyword.iskeyword(x):
            if renamed.setdefault(x, y) != y or back.setdefault(y, x) != x:
                return False
        elif x != y:
            return False
    return True


def _difference(name: str, left: Module, right: Module) -> str:
    one, other = ([line for line in module[name].script().splitlines()] for module in (left, right))
    names = {"R": "R", "T": "T", "I": "I", "cls": "cls"}
    renamed, back = dict(names), dict(names)
    for number, (a, b) in enumerate(zip(one, other), 1):
        if not _same_line(a, b, renamed, back):
            return f"`{name}` differs in line {number}:\n  left:  {a.strip()}\n  right: {b.strip()}"
    if len(one) == len(other):
        return f"`{name}` differs in what its text does not show"
    side, longer, rest = ("left", one, other) if len(one) > len(other) else ("right", other, one)
    return f"`{name}`: the {side} one goes on with\n  {longer[len(rest)].strip()}"
