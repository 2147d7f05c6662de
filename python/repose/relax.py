"""The graph level: scripts (`@R.function`), types, values, and a builder of functions. Operators are
here too: `R.nn.relu` is `repose.op.nn.relu`."""
from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from repose import _repose, op
from repose._repose import Expr, GraphFunction, Module, PrimFunc, Type, Value
from repose._scope import Annotation, Symbol, scripted

Function = GraphFunction
DataflowVar = Value


def function(f: Any = None, *, private: bool = False, pure: bool = True) -> Any:
    """The graph function that the source of a Python function is; in a class of `@I.ir_module`, a part
    of that. Errors stand at the lines of the source, from which `private` and `pure` are read too."""
    if f is None:
        return lambda g: scripted(g, sys._getframe(1))
    return scripted(f, sys._getframe(1))


# ---- Types -------------------------------------------------------------------------------------


def _in_script(*given: Any) -> bool:
    """Whether dimensions, or lists of them, are written as in a script, symbols by name: its reader
    reads them."""
    return any(_in_script(*item) if isinstance(item, (list, tuple))
               else isinstance(item, (str, Annotation, Symbol, TypeVar)) for item in given)


def Tensor(shape: Any = None, dtype: Any = "", ndim: int = -1, strides: Any = None,
           vdevice: Any = None) -> Any:
    """The type of a tensor: `Tensor((m, 224), "float32")`, `Tensor(ndim=2, dtype="float32")`."""
    if isinstance(shape, str):  # Tensor("float32")
        shape, dtype = None, shape
    dtype = "" if dtype is None else dtype
    if _in_script(shape, strides, vdevice) or not isinstance(dtype, str):
        return Annotation("R.Tensor")
    return _repose._tensor_type(shape, dtype, ndim, strides)


def Shape(dims: Sequence[Any] | None = None, ndim: int = -1) -> Any:
    """The type of a shape as a value."""
    if _in_script(dims):
        return Annotation("R.Shape")
    return _repose._shape_type(dims, ndim)


def Prim(dtype: str = "", value: Any = None) -> Any:
    """The type of a scalar; `value`: which one it is."""
    if _in_script(value):
        return Annotation("R.Prim")
    return _repose._prim_type(value, dtype)


def Tuple(*fields: Any) -> Any:
    """The type of a tuple."""
    if len(fields) == 1 and isinstance(fields[0], (list, tuple)):
        fields = tuple(fields[0])
    made = [f() if f in (Tensor, Shape, Tuple) else f for f in fields]
    if any(isinstance(f, Annotation) for f in made):
        return Annotation("R.Tuple")
    return _repose._tuple_type(*made)


def _callable(params: Any = None, ret: Any = None, purity: bool = True) -> Any:
    """The type of a function."""
    if params is None or any(isinstance(p, Annotation) for p in [*params, ret]):
        return Annotation("R.Callable")
    return _repose._function_type(list(params), ret if ret is not None else _repose._any_type(), purity)


TensorStructInfo = Tensor
ShapeStructInfo = Shape
TupleStructInfo = Tuple
PrimStructInfo = Prim
Object = Annotation("R.Object")


# ---- Values ------------------------------------------------------------------------------------


def Var(name: str, type: Any = None) -> Value:
    """A variable: a parameter of a function to build. `type`: `R.Tensor(…)`, of which symbols are
    `repose.dim`s."""
    if isinstance(type, Annotation):
        raise TypeError(f"`{name}`: symbols by name are for scripts; here they are `repose.dim(name)`")
    if type is None:
        raise TypeError(f"`{name}`: a variable needs a type, such as `R.Tensor((m, 4), \"float32\")`")
    return _repose._variable(name, type)


def const(data: Any, dtype: str = "", *, name: str = "") -> Value:
    """A constant: a number, or an array, which is copied. `dtype`: of a number (absent: float32,
    int32 or bool)."""
    if isinstance(data, (list, tuple)):
        from importlib import import_module
        data = import_module("numpy").array(data, dtype=dtype or None)
    return _repose._constant_value(data, dtype, name)


def shape(dims: Sequence[Any]) -> Value:
    """A shape as a value."""
    return _repose._shape_value(dims)


ShapeExpr = shape


def prim_value(value: Any) -> Value:
    """A scalar as a value: a number, or an expression over symbols."""
    return _repose._prim_value(value)


PrimValue = prim_value


def _tuple(*fields: Any) -> Value:
    """A tuple of values."""
    return _repose._value(fields)


def _str(text: str) -> Value:
    """A text as a value."""
    return _repose._string_value(text)


def dtype(name: str) -> Value:
    """A dtype as a value."""
    return _repose._dtype_value(name)


def ExternFunc(name: str) -> Value:
    """A function outside of the module, by name."""
    return _repose._extern_value(name)


# ---- Building ----------------------------------------------------------------------------------


class BlockBuilder:
    """Builds functions of a module in normal form; types are inferred, and checks placed, as they
    grow. An error is one of the line that makes it.

        bb = relax.BlockBuilder()
        m = repose.dim("m")
        x = relax.Var("x", R.Tensor((m, 4), "float32"))
        with bb.function("main", [x]):
            with bb.dataflow():
                y = bb.emit(op.nn.relu(x))
                out = bb.emit_output(op.add(y, 1.0))
            bb.emit_func_output(out)
        module = bb.get()
    """

    def __init__(self, module: Module | None = None) -> None:
        self._builder = _repose._Builder(module)
        self._names: list[dict[str, Any]] = []

    @contextmanager
    def function(self, name: str, params: Sequence[Value] = (), attrs: dict[str, Any] | None = None, *,
                 private: bool = False, pure: bool = True) -> Iterator[None]:
        """A function of the module: `emit_func_output` ends it. `attrs` may declare ranges of symbols:
        {"tir_var_upper_bound": {"m": 512}}."""
        self._builder.begin_function(name, list(params), attrs)
        self._names.append({"name": name, "attrs": attrs, "private": private, "pure": pure, "ended": False})
        try:
            yield
            if not self._names[-1]["ended"]:
                raise _repose_error(f"`{name}` has no result: `bb.emit_func_output(value)`")
        finally:
            self._names.pop()

    @contextmanager
    def dataflow(self) -> Iterator[None]:
        """A dataflow block: pure, and without branches. What is used behind it: `emit_output`."""
        self._builder.begin_dataflow()
        yield
        self._builder.end_dataflow()

    def emit(self, value: Any, name: str = "") -> Value:
        """Binds a value to a variable, which it returns. Calls in it get variables of their own."""
        return self._builder.emit(value, name)

    def emit_output(self, value: Any, name: str = "") -> Value:
        """A variable that is visible behind the dataflow block."""
        return self._builder.emit_output(value, name)

    def emit_te(self, formula: Any, *args: Any, primfunc_name_hint: str | None = None, **named: Any) -> Value:
        """A call of the tensor program that `formula` makes: it gets a `te.Tensor` for each value
        among its arguments (also in lists and tuples), the others as they are, and returns one tensor
        or a tuple of them."""
        values: list[Value] = []

        def collect(item: Any) -> Any:
            if isinstance(item, Value):
                values.append(item)
                return _Place(len(values) - 1)
            if isinstance(item, (list, tuple)):
                return type(item)(collect(i) for i in item)
            return item

        places = [collect(a) for a in args]
        named_places = {key: collect(a) for key, a in named.items()}

        def call(*tensors: Any) -> Any:
            def fill(item: Any) -> Any:
                if isinstance(item, _Place):
                    return tensors[item.index]
                if isinstance(item, (list, tuple)):
                    return type(item)(fill(i) for i in item)
                return item

            return formula(*(fill(p) for p in places), **{k: fill(p) for k, p in named_places.items()})

        hint = primfunc_name_hint or str(getattr(formula, "__name__", "te"))
        return self._builder.emit_te(hint if hint.isidentifier() else "te", values, call, "")

    def match_cast(self, value: Any, type: Type, name: str = "") -> Value:
        """The value as one of this type: checked when the function runs. Symbols that nothing has
        bound yet get what is found."""
        if isinstance(type, Annotation):
            raise TypeError("match_cast: symbols by name are for scripts; here they are `repose.dim(name)`")
        return self._builder.match_cast(value, type, name)

    def normalize(self, value: Any) -> Value:
        """Leaves stay, anything else is emitted."""
        return self._builder.normalize(value)

    @contextmanager
    def if_(self, condition: Any) -> Iterator[_Branches]:
        """`with bb.if_(c) as branch: …; branch.then(x); …; branch.otherwise(y)`; then
        `branch.value`."""
        self._builder.begin_if(condition)
        branch = _Branches(self._builder)
        yield branch
        branch.check()

    def emit_func_output(self, output: Any, params: Any = None) -> Value:
        """Ends the function; several results as a tuple. Gives what calls it."""
        if not self._names:
            raise _repose_error("emit_func_output: outside of a function")
        state = self._names[-1]
        state["ended"] = True
        return self._builder.end_function(state["name"], self._builder.normalize(output), state["attrs"], state["private"],
                                          state["pure"])

    def add_func(self, function: GraphFunction | PrimFunc, name: str) -> Value:
        """Adds a function or a tensor program under this name, or a free one that begins so; gives
        what calls it."""
        return self._builder.add_function(function, name)

    def get(self) -> Module:
        """The module, verified."""
        return self._builder.finish()

    finalize = get


class _Place:
    def __init__(self, index: int) -> None:
        self.index = index


class _Branches:
    """The two branches of an `if` that is being built."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._began_else = False
        self.value: Any = None

    def then(self, result: Any) -> None:
        self._builder.begin_else(result)
        self._began_else = True

    def otherwise(self, result: Any) -> None:
        if not self._began_else:
            raise _repose_error("`otherwise` before `then`")
        self.value = self._builder.end_if(result)

    def check(self) -> None:
        if self.value is None:
            raise _repose_error("an `if` ends with `branch.then(a)` and `branch.otherwise(b)`")


def _repose_error(text: str) -> Exception:
    from repose.errors import CompileError
    return CompileError(text, "ill-formed")


# Names of Python's own that scripts use too; then operators.
_OWN = {"Callable": _callable, "str": _str, "tuple": _tuple}


def __getattr__(name: str) -> Any:
    found = _OWN.get(name) or getattr(op, name, None)
    if found is None or name.startswith("_"):
        raise AttributeError(f"`repose.relax` has no `{name}`")
    return found
