"""The operators of the graph: each a function of values, by its name in text. `op.nn.relu(x)` makes
the call `R.nn.relu(x)`, which `BlockBuilder.emit` types and binds. Numbers beside a tensor take its
dtype; tuples of dimensions are shapes, None leaves an operand out."""
from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, Callable

from repose import _repose


def _signature(args: list[tuple[str, bool]], attrs: list[tuple[str, bool, Any]],
               variadic: bool) -> inspect.Signature:
    either, more = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    # Behind what may be left out, everything may.
    parameters, optional = [], False
    for name, may in args:
        optional = optional or may
        parameters.append(inspect.Parameter(name, either, default=None if optional else inspect.Parameter.empty))
    if variadic:
        parameters.append(inspect.Parameter("further", more))
    for name, may, default in attrs:
        kind = inspect.Parameter.KEYWORD_ONLY if variadic else either
        optional = (optional or may) and not variadic
        absent = default if may else None if optional else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, kind, default=absent))
    return inspect.Signature(parameters)


def _make(name: str, doc: str, args: list[tuple[str, bool]], attrs: list[tuple[str, bool, Any]],
          variadic: bool) -> Callable[..., Any]:
    def call(*operands: Any, **named: Any) -> Any:
        return _repose._call_operator(name, *operands, **named)

    call.__name__ = call.__qualname__ = name.rpartition(".")[2]
    call.__module__ = __name__
    call.__doc__ = doc
    setattr(call, "__signature__", _signature(args, attrs, variadic))
    return call


def _fill(into: dict[str, Any]) -> None:
    for name, doc, args, attrs, variadic in _repose._operators():
        space, _, last = name.rpartition(".")
        function = _make(name, doc, args, attrs, variadic)
        if not space:
            into[last] = function
        else:
            setattr(into.setdefault(space, SimpleNamespace()), last, function)


_fill(globals())
