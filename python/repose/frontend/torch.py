"""Exported programs of PyTorch as modules.

    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    module = repose.frontend.torch.from_exported_program(program)
    module = repose.frontend.torch.from_fx(graph_module, (x,))

What the compiler has no operator for is decomposed by PyTorch first.
"""
from __future__ import annotations

import copy
import io
import operator
from typing import Any, Callable, Mapping, Sequence

import repose
from repose import _repose
from repose.frontend._fused import decompositions

__all__ = ["from_exported_program", "from_fx"]


def known_operators() -> set[str]:
    """The overloads that the compiler reads: "aten.add.Tensor"."""
    return set(_repose._torch_operators())


def _is_whole(program: Any, known: set[str]) -> bool:
    """Whether the program can be read as it is: known operators, none of which works in place, in
    its graph and those that its operators take."""
    import torch

    graphs = [m.graph for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes):
        target = node.target
        if node.op != "call_function" or target is operator.getitem:
            continue
        if isinstance(target, torch._ops.HigherOrderOperator):
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


def _is_shared(value: Any) -> bool:
    """Whether a weight's memory can be used as it is."""
    import torch

    return (type(value) in (torch.Tensor, torch.nn.Parameter) and value.device.type == "cpu"
            and value.layout == torch.strided and value.is_contiguous() and value.numel() > 0
            and not value.is_neg()
            and value.dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool, torch.uint8,
                                torch.int8, torch.int16, torch.int32, torch.int64))


def without_weights(program: Any) -> tuple[bytes, dict[str, Any]]:
    """The program, whose operators the compiler has, as a .pt2 archive without those weights whose memory can be
    shared, and these by name."""
    import torch

    weights = {name: value.detach() for name, value in program.state_dict.items() if _is_shared(value)}
    lean = copy.copy(program)
    lean._state_dict = {name: value for name, value in program.state_dict.items() if name not in weights}
    lean.validate = lambda: None  # it would miss them
    contents = io.BytesIO()
    torch.export.save(lean, contents)
    return contents.getvalue(), weights


def _checked(program: Any) -> Any:
    import torch

    if isinstance(program, torch.jit.ScriptModule):
        raise TypeError("given a module of TorchScript, expected a torch.export.ExportedProgram: export the "
                        "module that it was made from, or write it as ONNX")
    if not isinstance(program, torch.export.ExportedProgram):
        raise TypeError(f"given `{type(program).__name__}`, expected a torch.export.ExportedProgram: "
                        f"`torch.export.export(module, inputs, dynamic_shapes=…)` makes one")
    return program


def archive(program: Any) -> bytes:
    """The program as a .pt2 archive that the compiler can read."""
    import torch

    contents = io.BytesIO()
    torch.export.save(_decomposed(_checked(program)), contents)
    return contents.getvalue()


def shared_archive(program: Any) -> tuple[bytes, dict[str, Any]]:
    """The same without weights whose memory can be shared, and these by name."""
    return without_weights(_decomposed(_checked(program)))


def from_exported_program(program: Any, *, dims: Mapping[str, repose.Size] | None = None,
                          strict_dims: bool = False) -> repose.Module:
    """The module of a torch.export.ExportedProgram. `dims` is as for `repose.read`: dimensions have
    the names of PyTorch's symbols ("s77"), and `<input>_<axis>`."""
    return repose.read(program, dims=dims, strict_dims=strict_dims)


def from_fx(graph_module: Any, inputs: Sequence[Any], *, dynamic_shapes: Any = None,
            dims: Mapping[str, repose.Size] | None = None, strict_dims: bool = False) -> repose.Module:
    """The module of a torch.fx.GraphModule, as `torch.fx.symbolic_trace` makes it. `inputs`: an example
    of each; `dynamic_shapes`: which dimensions are symbols, as for torch.export.export (None: every
    size is that of the example)."""
    import torch

    if not isinstance(graph_module, torch.fx.GraphModule):
        raise TypeError(f"given `{type(graph_module).__name__}`, expected a torch.fx.GraphModule")
    from repose.torch import whole_recurrent_layers

    with torch.no_grad(), whole_recurrent_layers():
        program = torch.export.export(graph_module.eval(), tuple(inputs), dynamic_shapes=dynamic_shapes)
    return from_exported_program(program, dims=dims, strict_dims=strict_dims)
