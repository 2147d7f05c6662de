"""Repose compiles a neural network once and runs it natively at every shape.

    import repose
    model = repose.compile("minilm.onnx", dims={"seq": "1..512"})
    hidden = model(input_ids, attention_mask)  # numpy, torch, jax: anything with __dlpack__
    model.save("minilm.so")
"""
from __future__ import annotations

import os
import sysconfig
import tempfile
from typing import Any, Callable, Iterable, Mapping, Sequence, Union, cast

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    raise ImportError("repose needs Python's interpreter lock, and this is a free-threaded build: "
                      "use the other one of the same version")

from repose import _repose, errors, ir, op, relax, script, te, tir, transform
from repose._repose import Function, Module, Tensor, __version__
from repose._show import model_html
from repose._types import Allocator, Derivation, Memory, Symbol, Value
from repose.errors import (BusyError, CallError, CompileError, CompileWarning, Diagnostic, Error,
                           LoadError, OutOfMemoryError)
from repose.ir import dim
from repose.relax import const

__all__ = ["Allocator", "BusyError", "CallError", "CompileError", "CompileWarning", "Derivation", "Diagnostic",
           "Error", "Function", "LoadError", "Memory", "Model", "Module", "OutOfMemoryError",
           "Symbol", "Tensor", "Value", "__version__", "build", "compile", "const", "dim", "errors",
           "ir", "load", "op", "passes", "read", "register", "relax", "script", "te", "tir", "transform"]

Path = Union[str, "os.PathLike[str]"]
Size = Union[int, str, "tuple[int | None, int | None]"]
Shape = Union[str, Sequence[Union[int, str]]]


class _NoMain:
    """Stands for the default function of a model that has none."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def _refuse(self) -> Any:
        raise CallError("the model has no function `main`: choose one by its name, "
                        + ", ".join(f'model["{name}"]' for name in self._names), "bad-argument")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return self._refuse()

    def __getattr__(self, name: str) -> Any:
        return self._refuse()


class Model:
    """A compiled model. May be called from any number of threads at once.

    `model(a, b)` calls its only function, or `main`; `model["encode"]` is another one.
    """

    def __init__(self, loaded: _repose._LoadedModel, pages: Mapping[str, str] | None = None) -> None:
        names = loaded.functions
        self._pages = pages or {}
        self._loaded = loaded
        self._functions = {name: Function(loaded, i) for i, name in enumerate(names)}
        self._main = self._functions.get("main") or (
            self._functions[names[0]] if len(names) == 1 else cast(Function, _NoMain(names)))

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Calls the model: inputs by position or by name (names that are no identifiers as
        `**{"input.1": x}`), tensors on the CPU with `__dlpack__` or the buffer protocol. Returns a
        tensor, or a tuple of them, of the kind of the first input, without a copy.

        `out`: a tensor for the result, or a sequence or a dictionary of them (None: make one).
        A failure raises CallError, OutOfMemoryError or BusyError."""
        return self._main(*inputs, **named)

    def __getitem__(self, name: str) -> Function:
        try:
            return self._functions[name]
        except KeyError:
            raise KeyError(f"no function `{name}`: the model has "
                           f"{', '.join(f'`{n}`' for n in self._functions)}") from None

    @property
    def name(self) -> str:
        return self._loaded.name

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(self._functions)

    @property
    def threads(self) -> int:
        """How many threads work on one call."""
        return self._loaded.threads

    @property
    def inputs(self) -> tuple[Value, ...]:
        return self._main.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self._main.outputs

    @property
    def symbols(self) -> dict[str, Symbol]:
        return self._main.symbols

    @property
    def metadata(self) -> str:
        """JSON: what `repose inspect` prints."""
        return self._loaded.metadata

    def memory(self, **sizes: int) -> Memory:
        """What a call needs at these values of the symbols, all of them."""
        return self._main.memory(**sizes)

    def why(self, query: str) -> Derivation:
        """Why a dimension is what it is: `OUTPUT:AXIS`, or the name of a symbol. Only of models
        that `compile` returned."""
        return self._main.why(query)

    def save(self, path: Path) -> None:
        """Writes the artifact, a shared library that needs libc alone."""
        self._loaded.save(os.fspath(path))

    def __repr__(self) -> str:
        calls = ", ".join(f._signature() for f in self._functions.values())
        return f"<repose.Model {self.name}: {calls}>"

    def _repr_html_(self) -> str:
        """For notebooks: what its functions take and give, and, of a model that `compile` returned,
        their memory over time, for sizes that the reader chooses."""
        return model_html(self.name, self._functions, self._pages)


def _range(name: str, size: Size) -> str:
    if isinstance(size, str):
        return size
    if isinstance(size, tuple) and len(size) == 2:
        return "..".join("" if end is None else str(int(end)) for end in size)
    if isinstance(size, int):
        return str(size)
    raise TypeError(f"dims: `{name}` is a `{type(size).__name__}`, expected a size, a text such as "
                    f'"1..512%8" or "batch", or a pair of limits')


def _shape(name: str, shape: Shape) -> str:
    if isinstance(shape, str):
        return shape
    if isinstance(shape, Sequence) and all(isinstance(one, (int, str)) for one in shape):
        return ",".join(map(str, shape))
    raise TypeError(f"shapes: `{name}` is a `{type(shape).__name__}`, expected a text such as "
                    f'"batch,3,h,w", or a sequence of sizes and names')


def read(model: Any, *, dims: Mapping[str, Size] | None = None, shapes: Mapping[str, Shape] | None = None,
         strict_dims: bool = False) -> Module:
    """Reads a model: a path of an ONNX file, of a .pt2 archive or of the IR's text, an
    onnx.ModelProto, or a torch.export.ExportedProgram. `dims` gives dimensions by name, or as `<input>_<axis>`: a size, a range ("1..512%8", (1, None)), or
    the name of the dimension that it is equal to. `shapes` gives those of inputs whose rank an ONNX
    model doesn't say: ("batch", 3, "h", "w")."""
    ranges = {name: _range(name, size) for name, size in (dims or {}).items()}
    texts = {name: _shape(name, shape) for name, shape in (shapes or {}).items()}
    if isinstance(model, (str, os.PathLike)):
        return _repose._read_file(os.fspath(model), ranges, texts, strict_dims)
    if hasattr(model, "SerializeToString"):
        return _repose._read_onnx(model.SerializeToString(), "model", ranges, texts, strict_dims)
    if any(base.__module__.split(".")[0] == "torch" for base in type(model).__mro__):
        from repose.frontend import torch as frontend
        contents, weights = frontend.shared_archive(model)
        return _repose._read_torch(contents, "program", ranges, texts, strict_dims, weights)
    raise TypeError(f"a model is a path, an onnx.ModelProto, an ExportedProgram or a repose.Module, "
                    f"given `{type(model).__name__}`")


def compile(model: Any, *, dims: Mapping[str, Size] | None = None,
            shapes: Mapping[str, Shape] | None = None, strict_dims: bool = False, cpu: str = "host",
            name: str | None = None, disable: Iterable[str] = (),
            threads: int = 0, spin_microseconds: int = 0, max_contexts: int = 0,
            when_busy: str = "wait", memory_limit: int = 0, operations_limit: int = 0,
            allocator: Allocator | None = None) -> Model:
    """Compiles a model, and loads it. `model`: what `read` takes, or a Module. `cpu`: "host",
    "x86-64-v2", "x86-64-v3" or "x86-64-v4". `disable`: names of passes to leave out. The rest is
    as for `load`. Raises CompileError."""
    if isinstance(model, Module):
        if dims or shapes or strict_dims:
            raise TypeError("compile: `dims`, `shapes` and `strict_dims` are of models that are read, "
                            "and a Module is read already")
        module = model
    else:
        module = read(model, dims=dims, shapes=shapes, strict_dims=strict_dims)
    if name is None:
        is_path = isinstance(model, (str, os.PathLike))
        name = os.path.splitext(os.path.basename(os.fspath(model)))[0] if is_path else "model"
    with tempfile.TemporaryDirectory(prefix="repose-") as folder:
        path = os.path.join(folder, "model.so")
        pages = _repose._compile(module, path, cpu, name, list(disable))
        return Model(_repose._LoadedModel(path, threads, spin_microseconds, max_contexts,
                                          when_busy, memory_limit, operations_limit, module,
                                          allocator), pages)


def build(module: Module | ir.GraphFunction, target: str = "host", **options: Any) -> Model:
    """Compiles a module of the IR, or one graph function as `main`, and loads it. `target`: "host", a
    level such as "x86-64-v3", or "llvm", which is the host. `options`: as for `compile`."""
    if not isinstance(module, Module):
        module = Module.from_functions({"main": module})
    return compile(module, cpu="host" if target == "llvm" else target, **options)


def load(path: Path, *, threads: int = 0, spin_microseconds: int = 0, max_contexts: int = 0,
         when_busy: str = "wait", memory_limit: int = 0, operations_limit: int = 0,
         allocator: Allocator | None = None) -> Model:
    """Loads a compiled model. `threads`: that work on one call (0: as the machine allows).
    `max_contexts`: calls that run at once (0: 8); one more waits, makes a context for itself, or
    fails, as `when_busy` says ("wait", "grow", "fail"). `memory_limit`: bytes of all arenas
    together; `operations_limit`: of one call; 0: none. `allocator`: where the memory of arenas and
    results comes from. Raises LoadError."""
    return Model(_repose._LoadedModel(os.fspath(path), threads, spin_microseconds, max_contexts,
                                      when_busy, memory_limit, operations_limit, None, allocator))


def register(name: str, function: Callable[..., Any] | None) -> None:
    """Makes a callable what models call by `name` (R.call_packed and its kin): those that are loaded
    or compiled from now on, and the interpreter. None: nothing any more.

    It gets tensors as `Tensor` (numpy.asarray, __dlpack__), numbers, strings, tuples. Tensors that
    it is to write (results of call_dps_packed, what call_inplace_packed overwrites) are the model's
    memory until it returns; others are copies. It returns a tensor, a number, None, any other
    object for other functions to take, or a tuple of as many as the call has results. An exception
    ends the call of the model with CallError. It is called by the thread that calls the model, and
    is kept to the end of the process."""
    _repose._register(name, function)


def passes() -> dict[str, str]:
    """The passes of the pipeline, in their order, then those that run only where they are asked for,
    with what each does."""
    return _repose._passes()
