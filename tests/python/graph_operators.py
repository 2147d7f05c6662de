"""The nodes that random graphs are made of: a table of weights and of functions, each of which adds one kind of
node (or a few that belong together) to a graph, or raises Rejected."""
import graph_shapes
import numpy as np
from graph_maker import ANY_AXIS, Rejected, broadcasts, element_type, filled_axis, ints


# ---- One value in, one out, element by element

UNARY = {
    "Abs": "n", "Neg": "n", "Relu": "f", "Sigmoid": "f", "Tanh": "f", "Erf": "f32", "Sin": "f", "Cos": "f", "Atan": "f32",
    "Sinh": "f32", "Cosh": "f32", "Asinh": "f32", "Softplus": "f32", "Softsign": "f32", "Elu": "f32", "Selu": "f32",
    "Celu": "f32", "LeakyRelu": "f", "HardSigmoid": "f32", "HardSwish": "f32", "Mish": "f32", "Exp": "f", "Ceil": "f",
    "Floor": "f", "Round": "f", "Sign": "n", "Identity": "*", "IsNaN": "f", "IsInf": "f32", "Not": "b", "Reciprocal": "f",
    "ThresholdedRelu": "f32", "Shrink": "f32", "Tan": "f32",
}
ATTRIBUTES = {
    "LeakyRelu": ["alpha"], "Elu": ["alpha"], "Celu": ["alpha"], "ThresholdedRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"],
    "Selu": ["alpha", "gamma"], "Shrink": ["bias", "lambd"],
}


def unary(m):
    op = m.choose(list(UNARY))
    attrs = {name: float(m.rng.uniform(0.1, 1.5)) for name in ATTRIBUTES.get(op, []) if m.chance(0.6)}
    m.add(op, [m.pick(UNARY[op])], **attrs)


def unary_of_a_range(m):
    op, low, high = m.choose([("Log", 0.05, 1e3), ("Sqrt", 0.01, 1e3), ("Asin", -0.9, 0.9), ("Acos", -0.9, 0.9),
                              ("Atanh", -0.9, 0.9), ("Acosh", 1.1, 1e3), ("Exp", -8, 5)])
    m.add(op, [m.pick("f", when=lambda v: v.within(low, high))])


def into_a_range(m):
    """A value that operators with a domain take: |x| + 1/2, or tanh."""
    v = m.pick("f")
    if m.chance(0.5):
        m.add("Tanh", [v])
    else:
        m.add("Add", [m.add("Abs", [v]), m.constant(np.asarray(0.5, v.dtype))])


def clip(m):
    v = m.pick("n")
    low, high = sorted(m.rng.integers(-3, 4, 2)) if v.dtype.kind == "i" else sorted(m.rng.uniform(-2, 2, 2))
    low, high = (m.constant(np.asarray(b, v.dtype)) for b in (low, high))
    m.add("Clip", m.choose([[v, low, high], [v, low], [v, None, high]]))


def gelu(m):
    ways = [{}, {"approximate": "tanh"}] if m.opset >= 20 else []
    m.add("Gelu", [m.pick("f32")], **m.choose([*ways, {"domain": "com.microsoft"}]))


def cast(m):
    v = m.pick("*")
    to = m.choose(["float32", "float32", "int64", "int32", "bool", "float64", "float16", "uint8", "int8"])
    limits = {"uint8": (0, 255), "int8": (-128, 127), "float16": (-200, 200)}
    if to in limits and not v.within(*limits[to]):
        raise Rejected("out of range")
    m.add("Cast", [v], to=element_type(to))


# ---- Several values, element by element

BINARY = {"Add": "n", "Sub": "n", "Mul": "n", "Max": "n", "Min": "n", "And": "b", "Or": "b", "Xor": "b", "Equal": "n",
          "Greater": "n", "Less": "n", "GreaterOrEqual": "n", "LessOrEqual": "n", "PRelu": "f32", "Mean": "f32", "Sum": "f",
          "BitwiseAnd": "integer", "BitwiseOr": "integer", "BitwiseXor": "integer"}


def partner(m, v, dtype=None):
    """A value that broadcasts with v, or a constant that does."""
    dtype = v.dtype if dtype is None else np.dtype(dtype)
    fits = broadcasts(v)
    if m.chance(0.65):
        found = [w for w in m.values if w.dtype == dtype and fits(w) and w.name != v.name]
        if found:
            return m.choose(found)
    shape = [v.fixed(axis) if m.chance(0.5) and v.fixed(axis) else 1 for axis in range(v.rank)]
    shape = shape[int(m.rng.integers(len(shape) + 1)):]
    if dtype.kind == "f":
        return m.constant(m.rng.uniform(0.2, 1.5, shape).astype(dtype), "w")
    if dtype.kind == "b":
        return m.constant(m.rng.random(shape) < 0.5)
    return m.constant(m.rng.integers(1, 5, shape).astype(dtype))


def binary(m):
    op = m.choose(list(BINARY))
    a = m.pick(BINARY[op])
    b = partner(m, a)
    pair = [b, a] if op != "PRelu" and m.chance(0.3) else [a, b]
    if op in ("Max", "Min", "Mean", "Sum") and m.chance(0.3):
        pair.append(partner(m, a))
    m.add(op, pair)


def quotient(m):
    v = m.pick("n")
    if v.dtype.kind == "f":
        found = [w for w in m.values if w.dtype == v.dtype and broadcasts(v)(w) and (w.within(0.1, 1e3) or w.within(-1e3, -0.1))]
        m.add("Div", [v, m.choose(found) if found else partner(m, v, v.dtype)])
        return
    by = m.constant(np.asarray(m.choose([1, 2, 3, 5]), v.dtype))
    if m.chance(0.5):
        m.add("Mod", [v, by], fmod=int(m.chance(0.3)))
    else:
        m.add("Div", [v, by])


def power(m):
    v = m.pick("f", when=lambda v: v.within(-6, 6))
    exponent = m.choose([2, 3, 0, 1] + ([0.5, -1, 1.7] if v.within(0.1, 6) else []))
    m.add("Pow", [v, m.constant(np.asarray(exponent, v.dtype))])


def where(m):
    v = m.pick("n")
    try:
        condition = m.pick("b", when=broadcasts(v))
    except Rejected:
        condition = m.add("Greater", [v, m.constant(np.asarray(0, v.dtype))])
    m.add("Where", m.choose([[condition, v, partner(m, v)], [condition, partner(m, v), v]]))


# ---- Reductions

REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
              "ReduceLogSum", "ReduceLogSumExp"]


def reduction(m):
    op = m.choose(REDUCTIONS)
    # Of integers, ONNX Runtime sums exponentials that it has truncated (test_departures.py).
    v = m.pick("f" if m.chance(0.8) or op == "ReduceLogSumExp" else "n", rank=ANY_AXIS)
    if op == "ReduceLogSum" and not v.within(0.01, 1e3):
        raise Rejected("a logarithm")
    attrs = {"keepdims": int(m.chance(0.5))} if m.chance(0.8) else {}
    axes = m.axes(v) if m.chance(0.85) else None
    if op == "ReduceMean" and any(0 in v.sizes(a) for a in (range(v.rank) if axes is None else axes)):
        raise Rejected("the mean of nothing")
    if axes is None and m.chance(0.2) and m.opset >= 18:
        attrs["noop_with_empty_axes"] = 1
    as_input = m.opset >= 18 or op == "ReduceSum"
    if axes is not None and not as_input:
        attrs["axes"] = axes
    m.add(op, [v, ints(m, axes)] if axes is not None and as_input else [v], **attrs)


def arg_reduction(m):
    v = m.pick("f32", rank=ANY_AXIS)
    attrs = {"select_last_index": 1} if m.chance(0.2) else {}
    m.add(m.choose(["ArgMax", "ArgMin"]), [v], axis=filled_axis(m, v), keepdims=int(m.chance(0.5)), **attrs)


def softmax(m):
    v = m.pick("f", rank=ANY_AXIS)
    m.add(m.choose(["Softmax", "Softmax", "LogSoftmax", "Hardmax"]), [v], axis=m.axis(v))


def cumulative(m):
    v = m.pick("n", rank=ANY_AXIS)
    attrs = {name: 1 for name in ("exclusive", "reverse") if m.chance(0.3)}
    m.add("CumSum", [v, m.constant(np.asarray(m.axis(v), np.int64))], **attrs)


# ---- Products

def matmul(m):
    a = m.pick("f32" if m.chance(0.85) else "f", rank=(1, 4), when=lambda v: v.dtype.name != "float16")
    found = [w for w in m.values if w.dtype == a.dtype and w.rank >= 1 and w.sizes(max(w.rank - 2, 0)) == a.sizes(-1)]
    if found and m.chance(0.5):
        m.add("MatMul", [a, m.choose(found)])
    elif a.fixed(-1):
        m.add("MatMul", [a, m.floats(a.fixed(-1), *m.choose([[], [1], [3], [7]]), dtype=a.dtype)])
    elif a.rank >= 2:
        m.add("MatMul", [a, m.add("Transpose", [a], perm=[*range(a.rank - 2), a.rank - 1, a.rank - 2])])


def gemm(m):
    a = m.pick("f32", rank=2)
    attrs = {name: float(m.rng.uniform(0.3, 1.5)) for name in ("alpha", "beta") if m.chance(0.3)}
    turned = int(m.chance(0.3))
    inner = a.fixed(0 if turned else 1)
    if not inner:
        raise Rejected("the inner size is a symbol")
    width = m.choose([1, 2, 5])
    other = int(m.chance(0.5))
    w = m.floats(*([width, inner] if other else [inner, width]))
    bias = m.choose([[], [m.floats(width)], [m.floats(1, width)], [m.floats()], [m.floats(1, 1)]])
    m.add("Gemm", [a, w, *bias], transA=turned, transB=other, **attrs)


def einsum(m):
    a = m.pick("f32", rank=(1, 3), when=lambda v: not v.is_empty_somewhere)
    letters = "ijk"[:a.rank]
    b = m.pick("f32", rank=(1, 3), when=lambda v: not v.is_empty_somewhere)
    sizes = {letter: a.sizes(axis) for axis, letter in enumerate(letters)}
    second = ""
    for axis in range(b.rank):
        same = [x for x in sizes if sizes[x] == b.sizes(axis) and x not in second]
        letter = m.choose(same) if same and m.chance(0.8) else "xyz"[axis]
        sizes[letter] = b.sizes(axis)
        second += letter
    kept = [x for x in sizes if m.chance(0.6)]
    m.rng.shuffle(kept)
    m.add("Einsum", [a, b], equation=f"{letters},{second}->{''.join(kept)}")


def quantised(m):
    """Quantised and back, by a scale; or a product of bytes."""
    if m.chance(0.4):
        a = m.pick("byte", rank=2, make=lambda: m.input("uint8", [m.dims(1)[0], 6]))
        if not a.fixed(1) or a.dtype.name != "uint8":
            raise Rejected("not this way")
        w = m.constant(m.rng.integers(-60, 60, (a.fixed(1), 4)).astype(np.int8))
        m.add("MatMulInteger", [a, w, m.constant(np.asarray(3, np.uint8))][:2 + int(m.chance(0.5))])
        return
    v = m.pick("f32", rank=ANY_AXIS)
    scale, zero = m.constant(np.asarray(0.037, np.float32)), m.constant(np.asarray(5, np.int8))
    q = m.add("QuantizeLinear", [v, scale, zero])
    m.add("DequantizeLinear", [q, scale, zero])


# ---- Images, norms, recurrent layers

def image(m, channels=None, spatial=2):
    c = m.choose([1, 2, 3, 4]) if channels is None else channels
    return m.input("float32", [m.choose([*m.root.symbols, 1, 2]), c, *(m.choose([*m.root.symbols, 5, 8]) for _ in range(spatial))])


def depth_and_space(m):
    v = m.pick("f32", rank=4, make=lambda: image(m, channels=8))
    if m.chance(0.5):
        m.add("DepthToSpace", [v], blocksize=2, mode=m.choose(["DCR", "CRD"]))
    else:
        m.add("SpaceToDepth", [v], blocksize=m.choose([1, 2]))


def pick_image(m):
    spatial = m.choose([1, 2, 2, 2])
    return m.pick("f32", rank=spatial + 2, when=lambda v: bool(v.fixed(1)) and v.fixed(1) <= 16, make=lambda: image(m, spatial=spatial))


def window(m, v):
    """The extents of a window that is not larger than the image, and attributes that go with it."""
    spatial = v.rank - 2
    size = [m.choose([1, 2, 3]) for _ in range(spatial)]
    if any(k > min(v.sizes(2 + axis)) for axis, k in enumerate(size)):
        raise Rejected("a larger window")
    attrs = {}
    if m.chance(0.5):
        attrs["strides"] = [m.choose([1, 2, 3]) for _ in range(spatial)]
    if m.chance(0.25):
        attrs["auto_pad"] = m.choose(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif m.chance(0.6):
        attrs["pads"] = [int(m.rng.integers(0, k)) for k in size * 2]
    return size, attrs


def conv(m):
    v = pick_image(m)
    channels = v.fixed(1)
    size, attrs = window(m, v)
    group = m.choose([g for g in (1, 1, 2, channels) if channels % g == 0])
    if m.chance(0.3) and "auto_pad" not in attrs and all(min(v.sizes(2 + axis)) > 4 for axis in range(v.rank - 2)):
        attrs["dilations"] = [m.choose([1, 2]) for _ in size]
    filters = group * m.choose([1, 2, 3])
    operands = [v, m.floats(filters, channels // group, *size)] + ([m.floats(filters)] if m.chance(0.5) else [])
    m.add("Conv", operands, group=group, **({"kernel_shape": size} if m.chance(0.6) else {}), **attrs)


def conv_transpose(m):
    v = pick_image(m)
    channels = v.fixed(1)
    size, attrs = window(m, v)
    attrs.pop("auto_pad", None)
    group = m.choose([g for g in (1, 2, channels) if channels % g == 0])
    if "strides" in attrs and m.chance(0.3):
        attrs["output_padding"] = [s - 1 for s in attrs["strides"]]
    m.add("ConvTranspose", [v, m.floats(channels, m.choose([1, 2]), *size)], group=group, **attrs)


def pool(m):
    v = pick_image(m)
    size, attrs = window(m, v)
    op = m.choose(["MaxPool", "AveragePool", "LpPool"])
    if m.chance(0.3) and "auto_pad" not in attrs and op != "LpPool":
        attrs["ceil_mode"] = 1
    if op == "AveragePool" and m.chance(0.4):
        attrs["count_include_pad"] = 1
    m.add(op, [v], 2 if op == "MaxPool" and m.chance(0.15) else 1, kernel_shape=size, **attrs)


def global_pool(m):
    m.add(m.choose(["GlobalAveragePool", "GlobalMaxPool"]), [pick_image(m)])


def check_coordinates(attrs, lengths):
    """Where the scaled lengths are 1, or are none, ONNX Runtime departs from the standard."""
    mode = attrs.get("coordinate_transformation_mode")
    if mode == "pytorch_half_pixel" and min(lengths) < 2 or mode == "align_corners" and any(n != int(n) for n in lengths):
        raise Rejected("coordinates that are not agreed on")


def resize(m):
    v = pick_image(m)
    spatial = v.rank - 2
    attrs = {"mode": m.choose(["nearest", "linear", "cubic"] if spatial == 2 else ["nearest", "linear"])}
    if m.chance(0.7):
        attrs["coordinate_transformation_mode"] = m.choose(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    if attrs["mode"] == "nearest":
        attrs["nearest_mode"] = m.choose(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
    if m.chance(0.5):
        factors = [m.choose([2, 1.5, 0.5, 3, 1]) for _ in range(spatial)]
        check_coordinates(attrs, [a.shape[2 + i] * f for a in v.arrays for i, f in enumerate(factors)])
        m.add("Resize", [v, None, m.constant(np.asarray([1, 1, *factors], np.float32))], **attrs)
        return
    sizes = [[*a.shape[:2], *(int(s) for s in m.rng.integers(1, 9, spatial))] for a in v.arrays]
    same = [sizes[0][2:]] * 4
    check_coordinates(attrs, [s for shape in sizes for s in shape[2:]])
    if m.chance(0.5):  # sizes computed from those of the image
        head = m.add("Slice", [m.add("Shape", [v]), ints(m, [0]), ints(m, [2]), ints(m, [0])])
        m.add("Resize", [v, None, None, m.add("Concat", [head, ints(m, same[0])], axis=0)], **attrs)
    else:
        m.add("Resize", [v, None, None, m.numbers(sizes)], **attrs)


def norm(m):
    kind = int(m.rng.integers(7))
    if kind == 0 and m.opset >= 17:
        v = m.pick("f32", rank=(2, 4), when=lambda v: bool(v.fixed(-1)) and v.fixed(-1) > 1)
        width = v.fixed(-1)
        m.add("LayerNormalization", [v, m.floats(width)] + ([m.floats(width)] if m.chance(0.6) else []), axis=-1,
              **({"epsilon": 1e-2} if m.chance(0.5) else {}))
    elif kind == 1:
        v = pick_image(m)
        c = v.fixed(1)
        stats = [m.floats(c), m.floats(c), m.floats(c), m.constant(m.rng.uniform(0.5, 2, c).astype(np.float32))]
        m.add("BatchNormalization", [v, *stats])
    elif kind == 2:
        v = pick_image(m)
        m.add("InstanceNormalization", [v, m.floats(v.fixed(1)), m.floats(v.fixed(1))], epsilon=1e-2)
    elif kind == 3 and m.opset >= 21:
        v = pick_image(m)
        c = v.fixed(1)
        groups = m.choose([g for g in (1, 2, c) if c % g == 0])
        m.add("GroupNormalization", [v, m.floats(c), m.floats(c)], num_groups=groups, epsilon=1e-2)
    elif kind == 4:
        v = m.pick("f32", rank=ANY_AXIS)
        m.add("LpNormalization", [v], axis=m.axis(v), p=m.choose([1, 2]))
    elif kind == 5:
        v = m.pick("f32", rank=4, make=lambda: image(m))
        if v.is_empty_somewhere:
            raise Rejected("an image of nothing")
        m.add("LRN", [v], size=m.choose([1, 3, 5]), alpha=0.1)
    elif m.opset >= 23:
        v = m.pick("f32", rank=(2, 4), when=lambda v: bool(v.fixed(-1)))
        m.add("RMSNormalization", [v, m.floats(v.fixed(-1))], axis=-1)
    else:
        v = m.pick("f32", rank=(2, 4))
        m.add("MeanVarianceNormalization", [v], axes=sorted({a % v.rank for a in m.axes(v)}))


def recurrent(m):
    op = m.choose(["LSTM", "GRU", "RNN"])
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    v = m.pick("f32", rank=3, when=lambda v: bool(v.fixed(2)) and not v.is_empty_somewhere,
               make=lambda: m.input("float32", [m.dims(1)[0], m.dims(1)[0], 3]))
    if not v.fixed(2):
        raise Rejected("the size of a step is a symbol")
    hidden, directions = 3, m.choose([1, 2])
    direction = "bidirectional" if directions == 2 else m.choose(["forward", "reverse"])
    weights = [m.floats(directions, gates * hidden, v.fixed(2)), m.floats(directions, gates * hidden, hidden)]
    if m.chance(0.5):
        weights.append(m.floats(directions, 2 * gates * hidden))
    attrs = {"linear_before_reset": 1} if op == "GRU" and m.chance(0.5) else {}
    m.add(op, [v, *weights], 3 if op == "LSTM" else 2, hidden_size=hidden, direction=direction, **attrs)


OPERATORS = [
    (6, unary), (1.5, unary_of_a_range), (1, into_a_range), (1, clip), (0.7, gelu), (1.5, cast),
    (7, binary), (2, quotient), (0.7, power), (2, where),
    (4, reduction), (0.7, arg_reduction), (1.5, softmax), (0.8, cumulative),
    (0.5, depth_and_space),
    (2.5, matmul), (0.8, gemm), (0.8, einsum), (0.7, quantised),
    (1.2, conv), (0.4, conv_transpose), (0.9, pool), (0.3, global_pool), (0.8, resize), (1.3, norm), (0.4, recurrent),
    *graph_shapes.OPERATORS,
]
