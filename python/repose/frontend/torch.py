"""Exported programs of PyTorch as modules.

    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    module = repose.frontend.torch.from_exported_program(program)

What the compiler has no operator for is decomposed by PyTorch first.
"""
from __future__ import annotations

import io
import operator
from typing import Any, Callable, Mapping

import repose
from repose import _repose
from repose.frontend._fused import decompositions

__all__ = ["from_exported_program"]


def known_operators() -> set[str]:
    """The overloads that the compiler reads: "aten.add.Tensor"."""
    return set(_repose._torch_operators())


def _is_whole(program: Any, known: set[str]) -> bool:
    """Whether the program can be read as it is: known operators, none of which works in place."""
    import torch

    for node in program.graph.nodes:
        target = node.target
        if node.op != "call_function" or target is operator.getitem:
            continue
        if isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool)):
            continue
        if not isinstance(target, torch._ops.OpOverload):
            return False
        if target._schema.is_mutable or str(target) not in known:
            return False
    return True


def decomposition_table() -> dict[Any, Callable[..., Any]]:
    """What the compiler has no operator for, by PyTorch's own functions and by those of `_fused`."""
    import torch

    known = known_operators()
    table = torch.export.default_decompositions()
    for overload in list(table):
        if str(overload) in known:
            del table[overload]
    return {**dict(table.items()), **decompositions()}


def _decomposed(program: Any) -> Any:
    if _is_whole(program, known_operators()):
        return program
    return program.run_decompositions(decomposition_table())


def archive(program: Any) -> bytes:
    """The program as a .pt2 archive that the compiler can read."""
    import torch

    if not isinstance(program, torch.export.ExportedProgram):
        raise TypeError(f"given `{type(program).__name__}`, expected a torch.export.ExportedProgram: "
                        f"`torch.export.export(module, inputs, dynamic_shapes=…)` makes one")
    contents = io.BytesIO()
    torch.export.save(_decomposed(program), contents)
    return contents.getvalue()


def from_exported_program(program: Any, *, dims: Mapping[str, repose.Size] | None = None,
                          strict_dims: bool = False) -> repose.Module:
    """The module of a torch.export.ExportedProgram. `dims` is as for `repose.read`: dimensions have
    the names of PyTorch's symbols ("s77"), and `<input>_<axis>`."""
    return repose.read(program, dims=dims, strict_dims=strict_dims)
