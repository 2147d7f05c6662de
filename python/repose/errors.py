"""Exceptions: each has `kind`, a short name that stays, and the compiler's or the model's text."""
from __future__ import annotations

from typing import NamedTuple

__all__ = ["BusyError", "CallError", "CompileError", "CompileWarning", "Diagnostic", "Error",
           "LoadError", "OutOfMemoryError"]


class Diagnostic(NamedTuple):
    """One error of the compiler. `line` and `column` count from 1; 0: no place."""

    kind: str
    text: str
    file: str
    line: int
    column: int
    notes: tuple[str, ...]


class Error(Exception):
    """What goes wrong in Repose."""

    kind: str

    def __init__(self, text: str, kind: str = "internal") -> None:
        super().__init__(text)
        self.kind = kind


class CompileError(Error):
    """A model, a module or an option that the compiler refuses; `diagnostics` are all of them."""

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, text: str, kind: str = "internal",
                 diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(text, kind)
        self.diagnostics = diagnostics


class CallError(Error, ValueError):
    """A call with arguments that the model doesn't take; nothing was computed, or no result given."""


class OutOfMemoryError(Error, MemoryError):
    """An allocation failed, or the memory limit is reached."""


class BusyError(Error):
    """Every context is in use, and `when_busy` is "fail"."""


class LoadError(Error, OSError):
    """No compiled model in the file, or one that doesn't run here."""


class CompileWarning(UserWarning):
    """What the compiler found odd in a model that it compiles all the same."""
