"""Passes over modules: those of the pipeline by name, sequences of them, passes in Python."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from repose import _repose
from repose._repose import GraphFunction, Module, Value
from repose.relax import BlockBuilder


class Instrument:
    """Sees each pass that runs in a `PassContext`."""

    def enter(self) -> None:
        """Before the first pass."""

    def before(self, name: str, module: Module) -> None:
        """Before a pass."""

    def after(self, name: str, module: Module) -> None:
        """After it."""


class Timing(Instrument):
    """The time of each pass, in seconds, in the order in which they ran."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []
        self._began: list[float] = []

    def before(self, name: str, module: Module) -> None:
        self._began.append(time.perf_counter())

    def after(self, name: str, module: Module) -> None:
        self.times.append((name, time.perf_counter() - self._began.pop()))

    def render(self) -> str:
        """A line for each."""
        return "\n".join(f"{seconds * 1000:9.3f} ms  {name}" for name, seconds in self.times)


class Printing(Instrument):
    """Shows the module after the passes of these names; without names, after each."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def after(self, name: str, module: Module) -> None:
        if not self.names or name in self.names:
            print(f"# ---- after {name}")
            module.show()


_instruments: ContextVar[tuple[Instrument, ...]] = ContextVar("instruments", default=())


@contextmanager
def PassContext(*, instruments: Sequence[Instrument] = ()) -> Iterator[None]:
    """Passes that run in it are seen by the instruments."""
    token = _instruments.set(_instruments.get() + tuple(instruments))
    try:
        for instrument in instruments:
            instrument.enter()
        yield
    finally:
        _instruments.reset(token)


class Pass:
    """A function from modules to modules. The result is verified."""

    def __init__(self, name: str, run: Callable[[Module], Module], doc: str = "") -> None:
        self.name = name
        self._run = run
        self.__doc__ = doc or None

    def __call__(self, module: Module) -> Module:
        instruments = _instruments.get()
        for instrument in instruments:
            instrument.before(self.name, module)
        result = self._run(module)
        if not isinstance(result, Module):
            raise TypeError(f"pass `{self.name}` gave `{type(result).__name__}`, expected a Module")
        result.verify()
        for instrument in instruments:
            instrument.after(self.name, result)
        return result

    def __repr__(self) -> str:
        return f"<pass {self.name}>"


class Sequential(Pass):
    """Passes one after another."""

    def __init__(self, passes: Sequence[Callable[[Module], Module]], name: str = "sequential") -> None:
        self.passes = list(passes)
        super().__init__(name, self._all)

    def __call__(self, module: Module) -> Module:
        return self._all(module)

    def _all(self, module: Module) -> Module:
        for one in self.passes:
            module = one(module)
        return module


def named(name: str, *, cpu: str = "host") -> Pass:
    """A pass of the pipeline (`repose.passes()`), for this CPU."""
    return Pass(name, lambda module: module.run_passes(name, cpu=cpu), _repose._passes().get(name, ""))


def module_pass(run: Callable[[Module], Module] | None = None, *, name: str | None = None) -> Any:
    """A pass from a Python function of a module."""
    if run is None:
        return lambda f: module_pass(f, name=name)
    return Pass(name or run.__name__, run, run.__doc__ or "")


def Gradient(func_name: str = "main", require_grads: Sequence[str | Value] | str | Value | None = None,
             target_index: int = 0) -> Pass:
    """Adds `<func_name>_adjoint`: the function's results, and a tuple of the gradients of result `target_index`,
    a tensor of rank 0, in the parameters `require_grads` (names or the variables; None: every float tensor)."""
    if isinstance(require_grads, (str, Value)):
        require_grads = [require_grads]
    names = [one if isinstance(one, str) else one.name for one in require_grads or ()]
    return Pass("gradient", lambda module: module.gradient(func_name, names, target_index),
                _repose._passes()["gradient"])


def ToMixedPrecision(out_dtype: str = "float16", *, always: Sequence[str] = (), follow: Sequence[str] = (),
                     never: Sequence[str] = ()) -> Pass:
    """Computes products, convolutions and what follows them in `out_dtype`, "float16" or "bfloat16". The lists name
    operators that are narrow wherever they stand, where their operands are, or never, where the usual lists differ."""
    return Pass("to_mixed_precision",
                lambda module: module.to_mixed_precision(out_dtype, list(always), list(follow), list(never)),
                _repose._passes()["to_mixed_precision"])


def rewrite(rules: Module, *, name: str = "rewrite") -> Pass:
    """Applies rules: functions `pattern` and `replacement`, or `pattern_NAME` and `replacement_NAME`, of a module
    (docs/patterns.md). What the replacements call comes along, as private functions."""
    return Pass(name, lambda module: module.rewrite(rules), "applies rules that are functions")


def BindParams(func_name: str, params: Mapping[str, Any]) -> Pass:
    """Puts tensors, by the names of parameters, in their place as constants. Sizes that they have become
    numbers."""
    return Pass("bind_params", lambda module: module.bind_params(dict(params), func_name),
                "puts constants in place of parameters")


def BindSymbolicVars(binding_map: Mapping[str, int]) -> Pass:
    """Makes numbers of symbols, named as for `dims` of `repose.read`, in the public functions; calls with
    other sizes are refused."""
    return Pass("bind_symbolic_vars", lambda module: module.bind_sizes(dict(binding_map)),
                _repose._passes()["bind_symbolic_vars"])


def ConvertLayout(desired_layouts: Mapping[str, Sequence[str]] | None = None) -> Pass:
    """Gives convolutions and pools layouts by operator, of the tensor and of the weight:
    {"nn.conv2d": ["NHWC", "OHWI"], "nn.max_pool2d": ["NHWC"]}; None: channels last for all of them."""
    layouts = {op: list(names) for op, names in (desired_layouts or {}).items()}
    return Pass("convert_layout", lambda module: module.convert_layout(layouts),
                _repose._passes()["convert_layout"])


class Visitor:
    """Walks over graph functions. Override what matters; the defaults go on."""

    def visit_module(self, module: Module) -> None:
        for name in module.functions:
            function = module[name]
            if isinstance(function, GraphFunction):
                self.visit_function(name, function)

    def visit_function(self, name: str, function: GraphFunction) -> None:
        for variable, value, _ in function.bindings:
            self.visit_binding(variable, value)

    def visit_binding(self, variable: Value, value: Value) -> None:
        """Each binding, those of branches and closures too."""
        if value.kind == "call":
            self.visit_call(value)

    def visit_call(self, call: Value) -> None:
        """A call: `call.op`, `call.args`, `call.attrs`, `call.type`."""


class Mutator:
    """Rewrites calls in graph functions: types are inferred again, and checks placed, where something
    changed. Operands of a call are those of the new function.

        class NoReluTwice(Mutator):
            def visit_call(self, bb, call):
                if call.op == "nn.relu" and is_relu(call.args[0]): return call.args[0]
    """

    def visit_module(self, module: Module) -> Module:
        return _repose._rewrite_calls(module, self._visit)

    __call__ = visit_module

    def _visit(self, builder: Any, call: Value) -> Any:
        bb = BlockBuilder.__new__(BlockBuilder)
        bb._builder, bb._names = builder, []
        return self.visit_call(bb, call)

    def visit_call(self, bb: BlockBuilder, call: Value) -> Any:
        """What takes the call's place: a value; None keeps the call. `bb.emit` binds what it needs."""
        return None


_FINISHING = ("lower_blocks", "vectorize_loops", "expand_math")


# Each pass of the pipeline, and the three that finish programs, by its name.
def __getattr__(name: str) -> Pass:
    if name in _repose._passes() or name in _FINISHING:
        return named(name)
    raise AttributeError(f"there is no pass `{name}`: there are {', '.join([*_repose._passes(), *_FINISHING])}")


def __dir__() -> list[str]:
    return [*globals(), *_repose._passes(), *_FINISHING]
