"""What models say of themselves."""
from __future__ import annotations

from typing import NamedTuple, Protocol


class Allocator(Protocol):
    """Where a model gets the memory of its arenas and results. Called by the threads that call the
    model, possibly at once; each result keeps the model, and so its allocator."""

    def allocate(self, bytes: int, alignment: int, /) -> int | None:
        """The address of at least `bytes` bytes, aligned to `alignment`; None: there are none."""

    def deallocate(self, address: int, bytes: int, /) -> None:
        """Takes back what `allocate` returned for `bytes`."""


class Value(NamedTuple):
    """An input or an output. `shape`: sizes where they are known, else text such as "seq"."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(str(d) for d in self.shape)}]"


class Symbol(NamedTuple):
    """A dimension that inputs bind: from `lower` to `upper`, both included (None: no limit), in
    multiples of `divisor`."""

    name: str
    lower: int
    upper: int | None
    divisor: int


class Memory(NamedTuple):
    """What a call takes: its arena, and the shapes of its results. None: the data decides, and
    there is no upper bound."""

    arena_bytes: int | None
    output_shapes: dict[str, tuple[int | None, ...]]


class Derivation(NamedTuple):
    """A statement about a dimension, and what it follows from; as text, one line each."""

    text: str
    causes: tuple[Derivation, ...]

    def __str__(self) -> str:
        lines = [self.text]
        lines += ["  " + line for cause in self.causes for line in str(cause).splitlines()]
        return "\n".join(lines)
