#!/usr/bin/env python3
"""The Python package: a function of TVMScript and one from a builder, passes over it, a schedule by
hand; each runs, at several shapes.

    PYTHONPATH=build/release/python examples/python/package.py
"""
# What scripts say is no Python to a type checker: annotations, and a class that is a module.
# mypy: disable-error-code="valid-type, untyped-decorator, arg-type"
# pyright: reportInvalidTypeForm=false, reportAttributeAccessIssue=false
from __future__ import annotations

from array import array
from typing import Any

import repose
from repose import op, relax, te, tir, transform
from repose.script import ir as I, relax as R, tir as T

HIDDEN = 4
m = T.int64()


@I.ir_module
class Layer:
    @T.prim_func(private=True)
    def plus_one(x: T.Buffer((m, HIDDEN), "float32"), y: T.Buffer((m, HIDDEN), "float32")) -> None:
        for i, j in T.grid(m, HIDDEN):
            with T.block("plus_one"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj] + T.float32(1)

    @R.function
    def main(x: R.Tensor((m, HIDDEN), "float32")) -> R.Tensor((m, HIDDEN), "float32"):
        cls = Layer
        with R.dataflow():
            y = R.call_tir(cls.plus_one, (x,), out_sinfo=R.Tensor((m, HIDDEN), "float32"))
            z = R.nn.relu(y)
            R.output(z)
        return z


def built() -> repose.Module:
    """y = sum of 2 * relu(x) over the columns."""
    rows = repose.dim("rows")
    x = relax.Var("x", R.Tensor((rows, HIDDEN), "float32"))

    def row_sums(a: te.Tensor) -> te.Tensor:
        k = te.reduce_axis((0, a.shape[1]), name="k")
        return te.compute((a.shape[0],), lambda i: te.sum(a[i, k], axis=k), name="row_sums")

    bb = relax.BlockBuilder()
    with bb.function("main", [x]):
        with bb.dataflow():
            doubled = bb.emit(op.nn.relu(x) * 2.0)
            sums = bb.emit_output(bb.emit_te(row_sums, doubled))
        bb.emit_func_output(sums)
    return bb.get()


def matrix(rows: int) -> Any:
    data = array("f", [float(i % 3 - 1) for i in range(rows * HIDDEN)])
    return memoryview(data).cast("B").cast("f", (rows, HIDDEN))


def main() -> None:
    layer = repose.build(Layer)
    sums = repose.build(built())
    for rows in (1, 3):
        print(layer(matrix(rows)), sums(matrix(rows)))

    lowered = transform.Sequential([transform.legalize, transform.fuse_programs])(built())
    print(lowered.functions)

    schedule = tir.Schedule(Layer, "plus_one")
    i, j = schedule.get_loops("plus_one")
    schedule.vectorize(j)
    schedule.parallel(i, 16)
    print("\n".join(schedule.trace))
    print(repose.build(schedule.mod)(matrix(2)))


if __name__ == "__main__":
    main()
