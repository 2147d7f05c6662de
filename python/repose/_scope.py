"""Scripts in Python source: where they stand, and what their names mean outside of them."""
from __future__ import annotations

import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from repose import _repose
from repose._repose import Expr, Module


class Annotation:
    """Stands for what only the reader of a script knows: a type, a buffer, a scalar. Can be called
    and subscripted as the script does."""

    def __init__(self, name: str, dtype: str | None = None) -> None:
        self._name = name
        self.dtype = dtype

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or self.dtype is None:
            return self
        return Symbol(self.dtype)  # n = T.int64()

    def __getitem__(self, index: Any) -> Annotation:
        return self

    def __repr__(self) -> str:
        return self._name


class Symbol:
    """A symbol that a script declares outside of its functions: n = T.int64()."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class Deferred:
    """A function in a class: the reader gets it with the class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def _value(found: Any) -> tuple[Any, ...] | None:
    """As the reader takes it: (value,), or ("", what it is instead)."""
    if isinstance(found, (Symbol, typing.TypeVar)):
        return (_repose._symbol("symbol", "dimension", ""),)
    if found is None or isinstance(found, (bool, int, float, str, Expr)):
        return (found,)
    if isinstance(found, (list, tuple)):
        parts = [_value(item) for item in found]
        known = all(part is not None and len(part) == 1 for part in parts)
        return ([part[0] for part in parts if part],) if known else ("", "a list of other objects")
    if hasattr(found, "item") and getattr(found, "shape", None) == ():
        return _value(found.item())  # numpy's scalars
    if hasattr(found, "__dlpack__"):
        return (found,)
    if hasattr(found, "dtype") and isinstance(found, type) or type(found).__name__.endswith("DType"):
        return (str(found),)
    return None


def lookup(scope: Mapping[str, Any]) -> Callable[[str], tuple[Any, ...] | None]:
    """What names of a script mean in this scope; modules, functions and classes are not values."""

    def find(name: str) -> tuple[Any, ...] | None:
        first, *rest = name.split(".")
        if first not in scope:
            return None
        found = scope[first]
        for part in rest:
            if not hasattr(found, part):
                return None
            found = getattr(found, part)
        skipped = (types.ModuleType, types.FunctionType, type, Annotation, Deferred, Module)
        if isinstance(found, skipped):
            return None
        value = _value(found)
        return value if value is not None else ("", f"a `{type(found).__name__}`")

    return find


def read(thing: Any, scope: Mapping[str, Any]) -> Module:
    """The module that the source of a function or a class is."""
    try:
        lines, first = inspect.getsourcelines(thing)
        file = inspect.getsourcefile(thing) or "script"
    except (OSError, TypeError) as error:
        raise _repose_error(f"the source of `{thing.__name__}` can't be found ({error}): scripts stand "
                            "in files or notebooks; a text is read by `repose.Module.from_text`") from None
    text = "".join(lines)
    dedented = textwrap.dedent(text)
    indent = len(lines[0]) - len(lines[0].lstrip())
    return _repose._from_source(dedented, file, max(first, 1), indent, lookup(scope))


def _repose_error(text: str) -> Exception:
    from repose.errors import CompileError
    return CompileError(text, "missing-value")


def scope_of(frame: types.FrameType | None, function: Any) -> dict[str, Any]:
    """What the source sees: the frame in which it is defined, and what its function closes over."""
    scope: dict[str, Any] = {}
    if frame is not None:
        scope.update(frame.f_globals)
        scope.update(frame.f_locals)
    cells = getattr(function, "__closure__", None)
    if cells:
        for name, cell in zip(function.__code__.co_freevars, cells):
            try:
                scope[name] = cell.cell_contents
            except ValueError:
                pass  # not bound yet
    return scope


def in_class(function: Callable[..., Any]) -> bool:
    """Whether a function is being defined in the body of a class."""
    outer = function.__qualname__.rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>")


def scripted(f: Any, frame: Any) -> Any:
    """What the source of a function is, read where it stands; in a class, when that is read."""
    return Deferred(f) if in_class(f) else read(f, scope_of(frame, f))[f.__name__]
