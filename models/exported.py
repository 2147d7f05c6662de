"""Arithmetic on sizes as the exporters of PyTorch write it.

`Traced` writes what torch.onnx makes of a trace, `Dynamo` what the newer exporter makes of a graph. The
code of a network then reads as it does in PyTorch, and the file has every node of the exporter's:

    g = Traced("pool")
    x = g.input("x", ["batch", 8, "height", "width"])
    rows = g.dim(x, 2)                                  # Shape, Gather
    x = g.pad(x, 4, 0, 0, 0, (4 - rows % 4) % 4)        # Mod, Sub, Mod, Unsqueeze, Concat, …, Pad
    x = g.view(x, g.dim(x, 0), 8, g.dim(x, 2) // 4, -1) # Div, Cast, Cast, …, Reshape
"""
import numpy as np
from onnx import TensorProto, numpy_helper
from onnx_graph import Graph

IMAGE = ["batch", 3, "height", "width"]
LARGEST, SMALLEST = 2**63 - 1, 1 - 2**63  # ends of slices that have none


class Size:
    """An int64 of rank 0; Python's operators write the exporter's nodes."""

    def __init__(self, g, name):
        self.g, self.name = g, name

    def __str__(self):
        return self.name

    def __add__(self, other):
        return self.g.arithmetic("Add", self, other)

    def __sub__(self, other):
        return self.g.arithmetic("Sub", self, other)

    def __rsub__(self, other):
        return self.g.arithmetic("Sub", other, self)

    def __mul__(self, other):
        return self.g.arithmetic("Mul", self, other)

    def __mod__(self, other):
        return self.g.arithmetic("Mod", self, other)

    def __floordiv__(self, other):
        return self.g.quotient(self, other)


class Traced(Graph):
    """The exporter that traces (torch.onnx.export with dynamic_axes)."""

    def op(self, kind, *inputs, **attributes):
        return super().op(kind, *map(str, inputs), **attributes)

    def whole(self, value):
        """One int64 of rank 0."""
        return self.const(np.array(value, np.int64), "n")

    def real(self, value):
        """One float32 of rank 0."""
        return self.const(np.array(value, np.float32), "r")

    def arithmetic(self, kind, a, b):
        a, b = (v if isinstance(v, Size) else self.whole(v) for v in (a, b))
        return Size(self, self.op(kind, a, b))

    def quotient(self, a, b):
        """The exporter's rounding towards zero: where the dtype is int64 already, both casts do nothing."""
        out = self.arithmetic("Div", a, b)
        for _ in range(2):
            out = self.op("Cast", out, to=TensorProto.INT64)
        return Size(self, out)

    def integer(self, number):
        """int(number), of a float32 of rank 0."""
        return Size(self, self.op("Cast", number, to=TensorProto.INT64))

    def dim(self, x, axis):
        """x.shape[axis]"""
        return Size(self, self.op("Gather", self.op("Shape", x), self.whole(axis), axis=0))

    def dims(self, x, *axes):
        return [self.dim(x, axis) for axis in axes]

    def element(self, size):
        """A size as a vector: (1,)."""
        if isinstance(size, Size):
            return self.op("Unsqueeze", size, self.ints(0))
        return self.ints(size)

    def vector(self, *sizes):
        return self.op("Concat", *map(self.element, sizes), axis=0)

    def view(self, x, *sizes):
        return self.op("Reshape", x, self.vector(*sizes))

    def flatten(self, x, start):
        """All dimensions from `start` on as one."""
        kept = self.op("Slice", self.op("Shape", x), self.ints(0), self.ints(start), self.ints(0))
        return self.op("Reshape", x, self.op("Concat", kept, self.ints(-1), axis=0))

    def crop(self, x, axis, end):
        """x[:end] on this axis."""
        return self.op("Slice", x, self.ints(0), self.element(end), self.ints(axis))

    def every_other(self, x, axis, first):
        """x[first::2] on this axis."""
        bounds = self.ints(first), self.ints(LARGEST)
        return self.op("Slice", x, *bounds, self.ints(axis), self.ints(2))

    def full(self, shape, value):
        """A new array of the shape (a vector), of value's dtype."""
        value = numpy_helper.from_array(np.array([value]))
        return self.op("ConstantOfShape", shape, value=value)

    def expand(self, x, *sizes):
        """x.expand(sizes); a size of -1 leaves the dimension as it is."""
        sizes = self.vector(*sizes)
        ones = self.full(self.op("Shape", sizes), np.int64(1))
        kept = self.op("Equal", sizes, self.op("Mul", ones, self.whole(-1)))
        return self.op("Expand", x, self.op("Where", kept, ones, sizes))

    def pad(self, x, rank, *pads, value=0.0):
        """F.pad: (begin, end) of the last dimension, of the one before it, …; for ONNX they are filled up with
        zeros, reversed, and all begins put before the ends."""
        pads = self.vector(*pads)
        length = self.op("Gather", self.op("Shape", pads), self.ints(0), axis=0)
        missing = self.op("Sub", self.op("Mul", self.whole(rank), self.whole(2)), length)
        pads = self.op("Cast", pads, to=TensorProto.INT64)
        pads = self.op("Concat", pads, self.full(missing, np.int64(0)), axis=0)
        pads = self.op("Reshape", pads, self.ints(-1, 2))
        back = self.ints(-1), self.ints(SMALLEST), self.ints(0), self.ints(-1)
        pads = self.op("Transpose", self.op("Slice", pads, *back), perm=[1, 0])
        pads = self.op("Cast", self.op("Reshape", pads, self.ints(-1)), to=TensorProto.INT64)
        return self.op("Pad", x, pads, self.real(value), mode="constant")

    def sizes_of(self, x):
        """x.shape[2:]: (2,)"""
        return self.vector(*self.dims(x, 2, 3))

    def resize(self, x, sizes, mode="nearest"):
        """F.interpolate of an image to sizes: (2,)."""
        shape = self.op("Shape", x)
        kept = self.op("Slice", shape, self.ints(0), self.ints(2), self.ints(0))
        sizes = self.op("Concat", kept, self.op("Cast", sizes, to=TensorProto.INT64), axis=0)
        place = "asymmetric" if mode == "nearest" else "half_pixel"
        how = {"coordinate_transformation_mode": place, "nearest_mode": "floor", "cubic_coeff_a": -0.75}
        return self.op("Resize", x, "", "", sizes, mode=mode, **how)

    def linear(self, x, n_in, n_out):
        """(…, n_in) → (…, n_out)"""
        product = self.op("MatMul", x, self.weight(n_in, n_out))
        return self.op("Add", product, self.weight(n_out, scale=0.1))

    def norm(self, x, width):
        """Layer normalisation of the last dimension."""
        scale = self.const(1 + 0.1 * self.rng.standard_normal(width).astype(np.float32), "v")
        return self.op("LayerNormalization", x, scale, self.weight(width, scale=0.1), axis=-1)

    def conv(self, x, n_in, n_out, kernel, stride=1, pad=0, groups=1):
        """With a bias, and without the batch norm of vision.conv."""
        w = self.weight(n_out, n_in // groups, kernel, kernel)
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.op("Conv", x, w, self.weight(n_out, scale=0.1), group=groups, **shape)


class Dynamo(Traced):
    """The exporter of torch.export's graphs (torch.onnx.export with dynamo=True)."""

    def quotient(self, a, b):
        return self.arithmetic("Div", a, b)

    def dim(self, x, axis):
        return Size(self, self.op("Squeeze", self.op("Shape", x, start=axis, end=axis + 1)))

    def element(self, size):
        if isinstance(size, Size):
            return self.op("Reshape", size, self.ints(-1))
        return self.ints(size)

    def sizes_of(self, x):
        return self.op("Slice", self.op("Shape", x), self.ints(2), self.ints(LARGEST), self.ints(0))
