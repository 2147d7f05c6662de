"""Repose as a compiler of torch.compile.

    fast = torch.compile(model, backend="repose", dynamic=True)
    with torch.no_grad():
        y = fast(x)                 # compiles at the first call; other sizes are no recompilation
    repose.torch.explain(model, x)  # what would not be compiled, and why

For inference: where gradients are wanted, and for operators that are not supported, PyTorch runs the
graph itself, and a warning says why.
"""
from __future__ import annotations

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Iterator, Sequence

import repose
from repose import _repose
from repose.frontend import _recurrent
from repose.frontend.torch import decomposition_table, without_weights

__all__ = ["Fallback", "backend", "explain", "whole_recurrent_layers"]

_library = _recurrent.install()


class Fallback(UserWarning):
    """A graph that PyTorch runs itself."""


whole_layers: ContextVar[bool] = ContextVar("whole_layers", default=False)


@contextmanager
def whole_recurrent_layers() -> Iterator[None]:
    """What is captured in it keeps recurrent layers whole, for any length of sequences:

        with repose.torch.whole_recurrent_layers():
            program = torch.export.export(model, (x,), dynamic_shapes=...)
    """
    token = whole_layers.set(True)
    try:
        yield
    finally:
        whole_layers.reset(token)


def _program(graph_module: Any, weights: dict[str, Any]) -> Any:
    """The graph as an exported program. `weights`: placeholders that are constants."""
    import torch
    from torch._export.verifier import Verifier
    from torch.export import graph_signature as signatures
    from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature

    def argument(node: Any) -> Any:
        if not isinstance(node, torch.fx.Node):
            return signatures.ConstantArgument(name="", value=node)
        value = node.meta.get("val")
        kind = {torch.SymInt: signatures.SymIntArgument, torch.SymFloat: signatures.SymFloatArgument,
                torch.SymBool: signatures.SymBoolArgument}
        return kind.get(type(value), signatures.TensorArgument)(name=node.name)

    inputs, outputs = [], []
    for node in graph_module.graph.nodes:
        node.meta.pop("nn_module_stack", None)  # of another form than the archive's
        if node.op == "placeholder":
            is_weight = node.name in weights
            inputs.append(
                signatures.InputSpec(signatures.InputKind.BUFFER, argument(node), node.name, True)
                if is_weight else
                signatures.InputSpec(signatures.InputKind.USER_INPUT, argument(node), None))
        elif node.op == "output":
            outputs = [signatures.OutputSpec(signatures.OutputKind.USER_OUTPUT, argument(a), None)
                       for a in node.args[0]]
    spec = torch.utils._pytree.tree_flatten(((), {}))[1]
    call = ModuleCallSignature(inputs=[], outputs=[], in_spec=spec, out_spec=spec)
    return torch.export.ExportedProgram(
        root=graph_module, graph=graph_module.graph,
        graph_signature=signatures.ExportGraphSignature(inputs, outputs), state_dict=weights,
        range_constraints={}, module_call_graph=[ModuleCallEntry("", call)], example_inputs=None,
        constants={}, verifiers=[Verifier])


class _Compiled:
    """One graph: compiled when it is first called, as its weights are known then."""

    _boxed_call = True  # takes its inputs as one list, as AOTAutograd asks

    def __init__(self, graph_module: Any, weights: Sequence[int]) -> None:
        self._graph_module = graph_module
        self._names = [n.name for n in graph_module.graph.nodes if n.op == "placeholder"]
        self._outputs = next(n for n in graph_module.graph.nodes if n.op == "output").args[0]
        self._weights = list(weights)
        self._state: list[tuple[int, int, int]] = []  # of weights: place, address, version
        self._model: Any = None
        self._order: list[int] = []
        self._fallen = False

    def _is_current(self, inputs: Sequence[Any]) -> bool:
        for i, address, version in self._state:
            weight = inputs[i]
            if weight._version != version or weight.data_ptr() != address:
                return False
        return self._model is not None

    def _compile(self, inputs: Sequence[Any]) -> None:
        given = {self._names[i]: inputs[i].detach() for i in self._weights}
        contents, weights = without_weights(_program(self._graph_module, given))
        module = _repose._read_torch(contents, "graph", {}, {}, False, weights)
        self._model = repose.compile(module, name="graph")
        places = {name: i for i, name in enumerate(self._names)}
        self._order = [places[value.name] for value in self._model.inputs]
        self._state = [(i, inputs[i].data_ptr(), inputs[i]._version) for i in self._weights]

    def __call__(self, inputs: list[Any]) -> list[Any]:
        import torch

        if not self._fallen and not self._is_current(inputs):
            try:
                self._compile(inputs)
            except Exception as error:  # whatever it is, PyTorch can run the graph
                warnings.warn(f"repose: PyTorch runs a graph itself: {error}", Fallback)
                self._fallen = True
        if self._fallen:
            return list(self._graph_module(*inputs))
        given = []
        for i in self._order:
            value = torch.tensor(inputs[i]) if isinstance(inputs[i], int) else inputs[i]
            given.append((value.detach() if value.requires_grad else value).contiguous())
        results = self._model(*given)
        results = iter(results if isinstance(results, tuple) else (results,))
        outputs = []
        for node in self._outputs:
            if not isinstance(node, torch.fx.Node):
                outputs.append(node)
                continue
            result = next(results)
            outputs.append(result if isinstance(node.meta["val"], torch.Tensor) else result.item())
        return outputs


def backend(graph_module: Any, example_inputs: Sequence[Any], **options: Any) -> Callable[..., Any]:
    """What torch.compile calls for `backend="repose"`."""
    import torch
    from torch._dynamo.backends.common import aot_autograd

    tensors = [x for x in example_inputs if isinstance(x, torch.Tensor)]
    reason = None
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        reason = "gradients are wanted, and training is not supported (`torch.no_grad()`)"
    elif elsewhere := {x.device.type for x in tensors} - {"cpu"}:
        reason = f"a tensor is on `{min(elsewhere)}`, and only `cpu` is supported"
    if reason:
        warnings.warn(f"repose: PyTorch runs a graph itself: {reason}", Fallback)
        forward: Callable[..., Any] = graph_module.forward
        return forward

    def compile_graph(graph: Any, _: Any) -> Any:
        metadata = torch._guards.TracingContext.get().fw_metadata
        # A buffer that the graph writes has another value in each call.
        weights = [i for i in metadata.static_input_indices
                   if not metadata.input_info[i].mutates_data] if metadata else []
        return _Compiled(graph, weights)

    compiled: Callable[..., Any] = aot_autograd(
        fw_compiler=compile_graph, decompositions=decomposition_table())(graph_module, example_inputs)
    return compiled


def explain(model: Any, *inputs: Any) -> str:
    """What torch.compile would leave to PyTorch when it compiles the model for these inputs: breaks of
    the graph, and operators that are not supported."""
    import torch

    lines = []
    with whole_recurrent_layers():
        broken = torch._dynamo.explain(model)(*inputs)
    if broken.graph_count == 0:
        lines.append("PyTorch captures no graph, and runs the model itself")
    else:
        lines.append(f"{broken.graph_count} graphs, {broken.graph_break_count} breaks")
    lines += [f"break: {reason.reason}" for reason in broken.break_reasons]
    torch._dynamo.reset()
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        torch.compile(model, backend=backend, dynamic=True)(*inputs)
    lines += [str(w.message) for w in caught if issubclass(w.category, Fallback)]
    torch._dynamo.reset()
    return "\n".join(lines)
