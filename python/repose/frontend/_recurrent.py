"""Recurrent layers as operators, where torch.compile captures a graph for Repose.

PyTorch leaves its recurrent modules out of graphs (`torch._dynamo.config.allow_rnn`), and where it doesn't, it writes
every step of a sequence into the graph, so that each length is another one. Here `aten.lstm.input` and the others
become `repose.lstm` and so on while a graph is captured for Repose, and only then: operators with the same arguments
and results at any length.
"""
from __future__ import annotations

from typing import Any, Callable

import torch

_STATES = {"lstm": 2, "gru": 1, "rnn_tanh": 1, "rnn_relu": 1}
_ARGUMENTS = ("Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
              "bool batch_first")


def _is_captured() -> bool:
    """Whether dynamo works on a graph for Repose, or someone wants these layers whole."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from repose.torch import backend, whole_layers

    if whole_layers.get():
        return True
    try:
        compiler: Any = InstructionTranslator.current_tx().output.compiler_fn
    except (AttributeError, TorchDynamoException):  # there is none
        return False
    while compiler is not None and compiler is not backend:  # PyTorch wraps it several times
        names = ("compiler_fn", "_torchdynamo_orig_backend", "__wrapped__")
        compiler = next((getattr(compiler, name) for name in names if hasattr(compiler, name)), None)
    return compiler is not None


class _WhereCaptured(int):
    """As an option of dynamo's: true for Repose, and what it was before for others. A number, as dynamo writes its
    options as JSON."""

    def __bool__(self) -> bool:
        return self != 0 or _is_captured()


def _describe(x: torch.Tensor, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float, train: bool,
              bidirectional: bool, batch_first: bool) -> tuple[torch.Tensor, ...]:
    """Results without elements."""
    states = hx if isinstance(hx, (list, tuple)) else [hx]
    features = states[0].shape[2] * (2 if bidirectional else 1)
    return (x.new_empty((x.shape[0], x.shape[1], features)), *(x.new_empty(tuple(s.shape)) for s in states))


def _replace(name: str) -> None:
    """The operator of ATen gives ours while a graph is captured."""
    overload = getattr(torch.ops.aten, name).input
    ours = getattr(torch.ops.repose, name).default
    for key in (torch._C.DispatchKey.CompositeImplicitAutograd, torch._C.DispatchKey.Autograd):
        plain = overload.py_kernels[key]

        def kernel(*args: Any, plain: Callable[..., Any] = plain, **kwargs: Any) -> Any:
            return (ours if _is_captured() else plain)(*args, **kwargs)

        overload.py_kernels[key] = kernel
    overload._dispatch_cache.clear()


def install() -> torch.library.Library:
    """Once a process. The operators exist as long as what it returns."""
    library = torch.library.Library("repose", "DEF")
    for name, states in _STATES.items():
        hx = "Tensor[] hx" if states > 1 else "Tensor hx"
        library.define(f"{name}(Tensor input, {hx}, {_ARGUMENTS}) -> ({', '.join(['Tensor'] * (states + 1))})")
        library.impl(name, getattr(torch._VF, name), "CompositeExplicitAutograd")
        torch.library.register_fake(f"repose::{name}", _describe, lib=library)
        _replace(name)
    torch._dynamo.config.allow_rnn = _WhereCaptured(torch._dynamo.config.allow_rnn)
    return library
