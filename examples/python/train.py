#!/usr/bin/env python3
"""Trains a small network: the loss is a function of TVMScript, its gradient made by the compiler. One
artifact serves every batch.

    PYTHONPATH=build/release/python examples/python/train.py
"""
# What scripts say is no Python to a type checker: annotations, and a class that is a module.
# mypy: disable-error-code="valid-type, untyped-decorator, arg-type"
from __future__ import annotations

import math
import random
from array import array
from typing import Any

import repose
from repose import transform
from repose.script import ir as I, relax as R, tir as T

HIDDEN = 24
n = T.int64()


@I.ir_module
class Network:
    @R.function
    def loss(x: R.Tensor((n, 1), "float32"), wanted: R.Tensor((n, 1), "float32"),
             w1: R.Tensor((1, HIDDEN), "float32"), b1: R.Tensor((HIDDEN,), "float32"),
             w2: R.Tensor((HIDDEN, 1), "float32"), b2: R.Tensor((1,), "float32")) -> R.Tensor((), "float32"):
        with R.dataflow():
            hidden = R.tanh(R.add(R.matmul(x, w1), b1))
            y = R.add(R.matmul(hidden, w2), b2)
            mean = R.mean(R.square(R.subtract(y, wanted)))
            R.output(mean)
        return mean

    @R.function
    def step(w1: R.Tensor((1, HIDDEN), "float32"), b1: R.Tensor((HIDDEN,), "float32"),
             w2: R.Tensor((HIDDEN, 1), "float32"), b2: R.Tensor((1,), "float32"),
             g1: R.Tensor((1, HIDDEN), "float32"), h1: R.Tensor((HIDDEN,), "float32"),
             g2: R.Tensor((HIDDEN, 1), "float32"), h2: R.Tensor((1,), "float32"), rate: R.Tensor((), "float32")
             ) -> R.Tuple(R.Tensor((1, HIDDEN), "float32"), R.Tensor((HIDDEN,), "float32"),
                          R.Tensor((HIDDEN, 1), "float32"), R.Tensor((1,), "float32")):
        with R.dataflow():
            a = R.subtract(w1, R.multiply(rate, g1))
            b = R.subtract(b1, R.multiply(rate, h1))
            c = R.subtract(w2, R.multiply(rate, g2))
            d = R.subtract(b2, R.multiply(rate, h2))
            R.output(a, b, c, d)
        return a, b, c, d


def tensor(values: list[float], *shape: int) -> Any:
    data = memoryview(array("f", values)).cast("B")
    return data.cast("f", shape) if shape else data.cast("f", ())


def samples(source: random.Random, count: int) -> tuple[Any, Any]:
    """Points of one period of a sine."""
    points = [source.uniform(-math.pi, math.pi) for _ in range(count)]
    return tensor(points, count, 1), tensor([math.sin(p) for p in points], count, 1)


def main() -> None:
    source = random.Random(1)
    module = transform.Gradient("loss", require_grads=["w1", "b1", "w2", "b2"])(Network)
    model = repose.build(module)
    weights: tuple[Any, ...] = (
        tensor([source.uniform(-1.5, 1.5) for _ in range(HIDDEN)], 1, HIDDEN),
        tensor([source.uniform(-1.5, 1.5) for _ in range(HIDDEN)], HIDDEN),
        tensor([source.uniform(-0.5, 0.5) for _ in range(HIDDEN)], HIDDEN, 1),
        tensor([0.0], 1))
    for batch, steps, rate in ((16, 3000, 0.05), (200, 3000, 0.1)):
        for _ in range(steps):
            x, wanted = samples(source, batch)
            _, *gradients = model["loss_adjoint"](x, wanted, *weights)
            weights = model["step"](*weights, *gradients, tensor([rate]))
        x, wanted = samples(source, 500)
        loss = float(memoryview(model["loss"](x, wanted, *weights))[()])
        print(f"after {steps} steps of batch {batch}: the mean squared error is {loss:.5f}")
    if not loss < 0.002:
        raise SystemExit(f"the loss is {loss}, expected less than 0.002")


if __name__ == "__main__":
    main()
