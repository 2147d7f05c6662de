"""Chains of steps whose sizes are made of the sizes before: what a compiler takes for them should grow with their
number and no faster. `CHAINS[name](count)` is a network of `count` steps; each that makes an array has a Relu after
it.

    reshapes       of rank 2 to shapes that are inputs, in which -1 and 0 may stand
    reshapes_4d    the same of rank 4
    slices         between bounds that are inputs
    crops          to lengths that are inputs
    same           convolutions of stride 2 with the attribute SAME_UPPER
    same_computed  the same with the padding computed in the graph
    wheres         chosen by masks that have sizes of their own
    adds           of arrays whose dimensions have no names
    scalars        arithmetic on one size, which a vector is expanded to in the end

Weights are shared between the steps, so that files stay small.
"""
from detectors import padded_same, padding_of_integers
from exported import Traced
from onnx import TensorProto


def chain(name, count, dims, step):
    """x: float32 `dims` → y. `step` takes the graph, the value and the number of the step."""
    g = Traced(name)
    x = g.input("x", dims)
    for i in range(count):
        x = g.op("Relu", step(g, x, i))
    g.output(x, "y", [None] * len(dims))
    return g


def reshapes(count, dims=("n", "t")):
    def step(g, x, i):
        return g.op("Reshape", x, g.input(f"to_{i}", [len(dims)], TensorProto.INT64))

    return chain("reshapes", count, dims, step)


def reshapes_4d(count):
    return reshapes(count, ("a", "b", "c", "d"))


def slices(count):
    def step(g, x, i):
        bounds = [g.input(f"{bound}_{i}", [1], TensorProto.INT64) for bound in ("from", "to")]
        return g.op("Slice", x, *bounds, g.ints(0))

    return chain("slices", count, ("n", "t"), step)


def crops(count):
    def step(g, x, i):
        length = g.input(f"length_{i}", [1], TensorProto.INT64)
        return g.op("Slice", x, g.ints(0), length, g.ints(1))

    return chain("crops", count, ("n", "t"), step)


def same(count):
    def step(g, x, i):
        w = shared_weight(g, 2, 2, 3, 3)
        return g.op("Conv", x, w, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")

    return chain("same", count, ("batch", 2, "height", "width"), step)


def same_computed(count):
    def step(g, x, i):
        w, x = shared_weight(g, 2, 2, 3, 3), padded_same(g, x, 3, padding_of_integers)
        return g.op("Conv", x, w, kernel_shape=[3, 3], strides=[2, 2])

    return chain("same_computed", count, ("batch", 2, "height", "width"), step)


def shared_weight(g, *dims):
    """The first initializer, which is made at the first call."""
    return g.initializers[0].name if g.initializers else g.weight(*dims)


def wheres(count):
    def step(g, x, i):
        mask = g.input(f"mask_{i}", [f"p_{i}", f"q_{i}"], TensorProto.BOOL)
        return g.op("Where", mask, x, "other" if i else g.input("other", ["n", "t"]))

    return chain("wheres", count, ("n", "t"), step)


def adds(count):
    return chain("adds", count, ("n", "t"), lambda g, x, i: g.op("Add", x, g.input(f"a_{i}", [None, None])))


def scalars(count):
    """The size grows by a few in two steps, and the quotients don't cancel."""
    g = Traced("scalars")
    size = g.dim(g.input("x", ["n", 3]), 0)
    for i in range(count):
        size = (size + 2) // 3 * 2 if i % 2 else (size + 1) // 2 * 3
    g.output(g.op("Relu", g.op("Expand", g.weight(1), g.vector(size))), "y", [None])
    return g


CHAINS = {
    "reshapes": reshapes,
    "reshapes_4d": reshapes_4d,
    "slices": slices,
    "crops": crops,
    "same": same,
    "same_computed": same_computed,
    "wheres": wheres,
    "adds": adds,
    "scalars": scalars,
}
