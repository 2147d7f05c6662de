"""A speech encoder of unknown length, as exporters write it: narrow, random weights.

    wavlm   strided convolutions over samples, a positional convolution over frames, attention with a gated
            bias for the distance of two frames
"""
import math

import numpy as np
from exported import LARGEST, Traced
from onnx import TensorProto
from transformer import gelu

WIDTH, HEADS, BUCKETS, FARTHEST = 16, 2, 8, 20
KERNEL, GROUPS = 4, 2  # of the positional convolution


def wavlm():
    """samples: float32 (batch, samples) → hidden (batch, frames, WIDTH), frames = ⌊(samples - 25) / 15⌋ + 1."""
    g = Traced("wavlm")
    x = g.op("Unsqueeze", g.input("samples", ["batch", "samples"]), g.ints(1))
    for n_in, kernel, stride in [(1, 10, 5), (WIDTH, 4, 3)]:
        x = gelu(g, conv(g, x, n_in, kernel, stride))
    x = g.norm(g.op("Transpose", x, perm=[0, 2, 1]), WIDTH)
    x = g.norm(g.op("Add", x, places(g, x)), WIDTH)
    bias = distance_bias(g, x)
    for _ in range(2):
        x = g.norm(g.op("Add", x, attention(g, x, bias)), WIDTH)
        y = g.linear(gelu(g, g.linear(x, WIDTH, 2 * WIDTH)), 2 * WIDTH, WIDTH)
        x = g.norm(g.op("Add", x, y), WIDTH)
    g.output(x, "hidden", ["batch", "(samples - 25) // 15 + 1", WIDTH])
    return g


def conv(g, x, n_in, kernel, stride=1, pad=0, groups=1, weight=None):
    weight = weight or g.weight(WIDTH, n_in // groups, kernel)
    shape = {"kernel_shape": [kernel], "strides": [stride], "pads": [pad] * 2}
    return g.op("Conv", x, weight, g.weight(WIDTH, scale=0.1), group=groups, **shape)


def places(g, x):
    """The positional convolution: its weight is a direction and a length for each place of the kernel; an even
    kernel gives a frame too many."""
    direction, length = g.weight(WIDTH, WIDTH // GROUPS, KERNEL), g.weight(1, 1, KERNEL, scale=1.0)
    by_place = g.op("Transpose", direction, perm=[2, 0, 1])
    by_place = g.view(by_place, g.dim(by_place, 0), -1)
    norm = g.op("ReduceL2", by_place, axes=[1], keepdims=0)
    weight = g.op("Mul", direction, g.op("Div", length, g.view(norm, 1, 1, KERNEL)))
    y = g.op("Transpose", x, perm=[0, 2, 1])
    y = conv(g, y, WIDTH, KERNEL, pad=KERNEL // 2, groups=GROUPS, weight=weight)
    y = g.op("Slice", y, g.ints(0), g.ints(-1), g.ints(2), g.ints(1))
    return g.op("Transpose", gelu(g, y), perm=[0, 2, 1])


def distance_bias(g, x):
    """(batch · HEADS, frames, frames): of each distance, by buckets that grow with it."""
    batch, frames = g.dims(x, 0, 1)
    line = g.op("Range", g.whole(0), frames, g.whole(1))
    distance = g.op("Sub", g.op("Unsqueeze", line, g.ints(0)), g.op("Unsqueeze", line, g.ints(1)))
    half = BUCKETS // 2
    exact = half // 2
    ahead = g.op("Cast", g.op("Greater", distance, g.whole(0)), to=TensorProto.INT64)
    distance, ahead = g.op("Abs", distance), g.op("Mul", ahead, g.whole(half))
    far = g.op("Log", g.op("Div", g.op("Cast", distance, to=TensorProto.FLOAT), g.real(exact)))
    far = g.op("Mul", g.op("Div", far, g.real(math.log(FARTHEST / exact))), g.real(half - exact))
    far = g.op("Cast", g.op("Add", far, g.real(exact)), to=TensorProto.INT64)
    far = g.op("Min", far, g.full(g.op("Shape", far), np.int64(half - 1)))
    bucket = g.op("Where", g.op("Less", distance, g.whole(exact)), distance, far)
    bias = g.op("Gather", g.weight(BUCKETS, HEADS, scale=0.5), g.op("Add", ahead, bucket), axis=0)
    bias = g.op("Unsqueeze", g.op("Transpose", bias, perm=[2, 0, 1]), g.ints(0))
    bias = g.op("Tile", bias, g.vector(batch, 1, 1, 1))
    return g.view(bias, batch * HEADS, frames, frames)


def attention(g, x, bias):
    (batch, frames), size = g.dims(x, 0, 1), WIDTH // HEADS
    gated = g.op("Transpose", g.view(x, batch, frames, HEADS, -1), perm=[0, 2, 1, 3])
    gate = g.view(g.linear(gated, size, 8), *g.dims(gated, 0, 1, 2), 2, 4)
    gate = g.op("Sigmoid", g.op("ReduceSum", gate, g.ints(-1), keepdims=0))
    a, b = (g.op("Slice", gate, g.ints(i), g.ints(i + 1 if i == 0 else LARGEST), g.ints(-1)) for i in (0, 1))
    gate = g.op("Mul", b, g.weight(1, HEADS, 1, 1, scale=1.0))
    gate = g.op("Add", g.op("Mul", a, g.op("Sub", gate, g.real(1.0))), g.real(2.0))
    bias = g.op("Mul", g.view(gate, batch * HEADS, -1, 1), bias)
    bias = g.view(bias, batch, HEADS, frames, frames)

    def project():
        y = g.view(g.linear(x, WIDTH, WIDTH), batch, -1, HEADS, size)
        return g.op("Transpose", y, perm=[0, 2, 1, 3])

    q, k, v = project(), project(), project()
    scores = g.op("MatMul", g.op("Mul", q, g.real(size**-0.5)), g.op("Transpose", k, perm=[0, 1, 3, 2]))
    y = g.op("MatMul", g.op("Softmax", g.op("Add", scores, bias), axis=-1), v)
    y = g.view(g.op("Transpose", y, perm=[0, 2, 1, 3]), batch, frames, WIDTH)
    return g.linear(y, WIDTH, WIDTH)
