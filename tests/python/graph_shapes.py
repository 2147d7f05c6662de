"""The nodes of random graphs that change shapes, make numbers of sizes, or choose by indices."""
import math

import numpy as np
from graph_maker import ANY_AXIS, Rejected, broadcasts, element_type, filled_axis, ints
from onnx import numpy_helper

INT64_MAX = np.iinfo(np.int64).max


# ---- Shapes

def transpose(m):
    v = m.pick(rank=(2, 5))
    m.add("Transpose", [v], **({"perm": [int(a) for a in m.rng.permutation(v.rank)]} if m.chance(0.85) else {}))


def reshape(m):
    v = m.pick(rank=ANY_AXIS)
    m.add("Reshape", [v, ints(m, constant_target(m, v))])


def constant_target(m, v):
    """Keeps some dimensions (0), one is found (-1), what is left is split or joined."""
    if m.chance(0.3):
        return [-1]
    keep = int(m.rng.integers(0, v.rank))
    target = [0] * keep
    fixed = [v.fixed(axis) for axis in range(keep, v.rank)]
    if all(fixed) and m.chance(0.6):
        total = math.prod(fixed)
        factor = m.choose([f for f in (1, 2, 3, 4, 6, total) if total % f == 0])
        return target + [total // factor, factor]
    last = fixed[-1] or 1
    factor = m.choose([f for f in (1, 2, 3, last) if last % f == 0])
    return target + m.choose([[-1, factor], [-1], [1, -1, factor]])


def size_of(m, v, axis):
    """A size as an int64 (1,): Shape, then Gather or Slice."""
    shape = m.add("Shape", [v])
    if m.chance(0.5):
        return m.add("Gather", [shape, ints(m, [axis])], axis=0)
    if m.opset >= 15 and m.chance(0.4):
        return m.add("Shape", [v], start=axis, end=axis + 1)
    return m.add("Slice", [shape, ints(m, [axis]), ints(m, [axis + 1]), ints(m, [0])])


def computed_reshape(m):
    """The target is made of sizes: joined axes, halves, or heads as attention has them."""
    v = m.pick(rank=(2, 4))
    at = int(m.rng.integers(v.rank - 1))
    parts = [size_of(m, v, axis) for axis in range(v.rank)]
    joined = m.add("Mul", [parts[at], parts[at + 1]])
    dims = parts[:at] + [m.choose([joined, ints(m, [-1])])] + parts[at + 2:]
    if m.chance(0.4):
        dims.insert(int(m.rng.integers(len(dims) + 1)), ints(m, [1]))
    flat = reshape_to(m, v, m.add("Concat", dims, axis=0))
    if m.chance(0.5):
        y = m.add("Relu" if flat.dtype.kind == "f" else "Identity", [flat])
        reshape_to(m, y, m.add("Shape", [v]))


def reshape_to(m, v, target):
    """A computed 0 is a size, not the size of the same axis."""
    has_zero, has_unknown = (any((a == n).any() for a in target.arrays) for n in (0, -1))
    if has_zero and (has_unknown or m.opset < 14):
        raise Rejected("a size of 0 that reads as another")
    return m.add("Reshape", [v, target], **({"allowzero": 1} if has_zero or (m.opset >= 14 and m.chance(0.1)) else {}))


def flatten(m):
    v = m.pick(rank=ANY_AXIS)
    m.add("Flatten", [v], **({"axis": m.choose(list(range(-v.rank, v.rank + 1)))} if m.chance(0.8) else {}))


def unsqueeze(m):
    v = m.pick(rank=(0, 3))
    count = int(m.rng.integers(1, 3))
    axes = [int(a) for a in m.rng.permutation(v.rank + count)[:count]]
    axes = [a - v.rank - count if m.chance(0.2) else a for a in axes]
    m.add("Unsqueeze", [v, ints(m, axes)])


def squeeze(m):
    v = m.pick(rank=(1, 5), when=lambda v: any(v.fixed(a) == 1 for a in range(v.rank)))
    axes = [a for a in range(v.rank) if v.fixed(a) == 1 and m.chance(0.8)]
    if not axes:
        raise Rejected("no axis")
    m.add("Squeeze", [v, ints(m, axes)])


def expand(m):
    v = m.pick(rank=(0, 3))
    if m.chance(0.5):
        other = m.pick(rank=(v.rank, 4), when=broadcasts(v))
        m.add("Expand", [v, m.add("Shape", [other])])
        return
    if m.chance(0.4):
        dims = [1 if v.fixed(a) != 1 else int(m.rng.integers(1, 4)) for a in range(v.rank)]
        m.add("Expand", [v, ints(m, [int(m.rng.integers(1, 4)), *dims])])
        return
    lists = [[int(m.rng.integers(0, 4)) if v.fixed(a) == 1 else 1 for a in range(v.rank)] for _ in range(4)]
    m.add("Expand", [v, m.numbers([[int(m.rng.integers(1, 4)), *numbers] for numbers in lists])])


def tile(m):
    v = m.pick(rank=ANY_AXIS)
    if m.chance(0.6):
        m.add("Tile", [v, ints(m, m.rng.integers(1, 4, v.rank))])
    else:
        m.add("Tile", [v, m.numbers([m.rng.integers(0, 4, v.rank) for _ in range(4)])])


def concat(m):
    v = m.pick(rank=ANY_AXIS)
    axis = m.axis(v, sign=False)

    def fits(w):
        return w.dtype == v.dtype and all(v.sizes(a) == w.sizes(a) for a in range(v.rank) if a != axis)

    found = [w for w in m.values if w.rank == v.rank and fits(w)]
    parts = [m.choose(found) for _ in range(int(m.rng.integers(1, 4)))]
    m.add("Concat", [v, *parts], axis=axis - v.rank if m.chance(0.3) else axis)


def split(m):
    v = m.pick(rank=ANY_AXIS)
    axis = m.axis(v, sign=False)
    size = v.fixed(axis)
    if size and size >= 2 and m.chance(0.7):
        first = int(m.rng.integers(0 if m.chance(0.1) else 1, size))
        m.add("Split", [v, ints(m, [first, size - first])], 2, axis=axis)
        return
    count = 2
    attrs = {"num_outputs": count} if m.opset >= 18 else {}
    m.add("Split", [v], count, axis=axis, **attrs)


def split_data(m):
    v = m.pick(rank=ANY_AXIS)
    axis = m.axis(v, sign=False)
    firsts = [int(m.rng.integers(0, size + 1)) for size in v.sizes(axis)]
    m.add("Split", [v, m.numbers([[f, s - f] for f, s in zip(firsts, v.sizes(axis))])], 2, axis=axis)


def slice_(m):
    v = m.pick(rank=ANY_AXIS)
    axes = m.axes(v, most=2)
    steps = [m.choose([1, 1, 1, 2, 3, -1, -2]) for _ in axes]
    starts = [m.choose([0, 1, -1, -2, 2] if s > 0 else [-1, INT64_MAX, 3, -2]) for s in steps]
    ends = [m.choose([INT64_MAX, -1, 3, 5, 1000, INT64_MAX] if s > 0 else [-INT64_MAX, 0, -1000, 1]) for s in steps]
    operands = [v, ints(m, starts), ints(m, ends), ints(m, axes)]
    m.add("Slice", operands + ([ints(m, steps)] if any(s != 1 for s in steps) or m.chance(0.3) else []))


def slice_data(m):
    """Bounds that are data, or sizes of another value."""
    v = m.pick(rank=ANY_AXIS)
    axis = m.axis(v)
    if m.chance(0.5):
        starts, ends = ([[int(m.rng.integers(-4, 9))] for _ in range(4)] for _ in range(2))
        step = m.choose([1, 1, 2, -1])
        m.add("Slice", [v, m.numbers(starts), m.numbers(ends), ints(m, [axis]), ints(m, [step])])
        return
    other = m.pick(rank=ANY_AXIS)
    end = size_of(m, other, m.axis(other, sign=False))
    if m.chance(0.4):
        end = m.add("Sub", [end, ints(m, [1])])
    begin = ints(m, [0]) if m.chance(0.6) else m.add("Div", [end, ints(m, [2])])
    m.add("Slice", [v, begin, end, ints(m, [axis])])


def pad(m):
    v = m.pick("f32" if m.chance(0.7) else "n", rank=ANY_AXIS)
    mode = m.choose(["constant", "constant", "reflect", "edge"] + (["wrap"] if m.opset >= 19 else []))
    low = -1 if mode == "constant" and m.chance(0.2) else 0
    attrs = {"mode": mode} if mode != "constant" or m.chance(0.5) else {}
    tail = [m.constant(np.asarray(2, v.dtype))] if mode == "constant" and m.chance(0.5) else []
    if m.opset >= 18 and m.chance(0.3):
        axes = m.axes(v, most=2)
        pads = ints(m, m.rng.integers(low, 3, 2 * len(axes)))
        m.add("Pad", [v, pads, tail[0] if tail else None, ints(m, axes)], **attrs)
    elif m.chance(0.7):
        m.add("Pad", [v, ints(m, m.rng.integers(low, 3, 2 * v.rank)), *tail], **attrs)
    else:
        m.add("Pad", [v, m.numbers([m.rng.integers(0, 2, 2 * v.rank) for _ in range(4)]), *tail], **attrs)


def shape_number(m):
    """Sizes as tensors, and what is made of them."""
    v = m.pick(rank=ANY_AXIS)
    kind = int(m.rng.integers(6))
    if kind == 0:
        m.add("Size", [v])
    elif kind == 1:
        m.add("Cast", [size_of(m, v, m.axis(v, sign=False))], to=element_type("float32"))
    elif kind == 2:
        zero = m.constant(np.asarray(0, np.int64))
        n = m.add("Squeeze", [size_of(m, v, m.axis(v, sign=False)), ints(m, [0])])
        m.add("Range", [zero, n, m.constant(np.asarray(m.choose([1, 1, 2]), np.int64))])
    elif kind == 3:
        value = numpy_helper.from_array(np.asarray([m.choose([0, 2.5])], np.float32))
        m.add("ConstantOfShape", [m.add("Shape", [v])], **({"value": value} if m.chance(0.8) else {}))
    elif kind == 4:
        m.add("Shape", [v], **({"start": m.axis(v), "end": m.choose([1, 2, -1, 9])} if m.opset >= 15 and m.chance(0.5) else {}))
    else:
        m.add("ReduceProd", [m.add("Shape", [v])], keepdims=int(m.chance(0.5)))


def range_of_data(m):
    if m.chance(0.5):
        numbers = [np.asarray(int(m.rng.integers(0, 9)), np.int64) for _ in range(4)]
        m.add("Range", [m.constant(np.asarray(int(m.rng.integers(-2, 3)), np.int64)), m.numbers(numbers),
                        m.constant(np.asarray(m.choose([1, 2, 3]), np.int64))])
        return
    numbers = [np.asarray(m.choose([0.7, 3.2, -1.4]), np.float32) for _ in range(4)]
    m.add("Range", [m.constant(np.asarray(0, np.float32)), m.numbers(numbers, np.float32),
                    m.constant(np.asarray(0.5, np.float32))])


def trilu(m):
    v = m.pick("f32" if m.chance(0.7) else "i64", rank=(2, 4))
    operands = [v] + ([m.constant(np.asarray(int(m.rng.integers(-2, 3)), np.int64))] if m.chance(0.5) else [])
    m.add("Trilu", operands, upper=int(m.chance(0.5)))


def eye(m):
    m.add("EyeLike", [m.pick("f32", rank=2)], k=int(m.rng.integers(-1, 2)))


# ---- Choosing by indices

def index_input(m, limit_of, dims):
    """An input of indices in [-limit, limit) of each shape."""
    limits = iter(limit_of)

    def draw(rng, shape):
        limit = next(limits)
        if limit == 0 and np.prod(shape) > 0:
            raise Rejected("nothing to choose from")
        return rng.integers(-limit if rng.random() < 0.3 else 0, max(limit, 1), shape)

    return m.input("int64", dims, draw)


def gather(m):
    v = m.pick(rank=ANY_AXIS)
    axis = m.axis(v)
    if m.chance(0.4):
        least = min(v.sizes(axis))
        if least == 0:
            raise Rejected("nothing to choose from")
        shape = m.choose([[], [1], [3], [2, 2]])
        indices = m.constant(np.asarray(m.rng.integers(-least, least, shape), np.int64))
    else:
        indices = index_input(m, v.sizes(axis), m.dims(int(m.rng.integers(0, 3))))
    m.add("Gather", [v, indices], axis=axis)


def gather_by_argmax(m):
    """Indices that the graph computes."""
    v = m.pick("f32", rank=(1, 3))
    axis = filled_axis(m, v, sign=False)
    indices = m.add("ArgMax", [v], axis=axis, keepdims=1)
    m.add("GatherElements", [v, indices], axis=axis)


def gather_elements(m):
    v = m.pick(rank=(1, 3))
    axis = m.axis(v, sign=False)
    dims = [v.fixed(a) for a in range(v.rank)]
    dims[axis] = m.choose([1, 2, 4])
    if any(d is None for d in dims):
        raise Rejected("sizes that no input has")
    m.add("GatherElements", [v, index_input(m, v.sizes(axis), dims)], axis=axis)


def gather_nd(m):
    v = m.pick(rank=(1, 4))
    count = int(m.rng.integers(1, v.rank + 1))
    limit = [min(v.sizes(a)) for a in range(count)]
    if min(limit) == 0:
        raise Rejected("nothing to choose from")

    def draw(rng, shape):
        return np.stack([rng.integers(-n if rng.random() < 0.3 else 0, n, shape[:-1]) for n in limit], -1)

    m.add("GatherND", [v, m.input("int64", [*m.dims(int(m.rng.integers(1, 3))), count], draw)])


def distinct(m, v, axis):
    """Constant indices along an axis, none twice."""
    least = min(v.sizes(axis))
    if least == 0:
        raise Rejected("nothing to choose from")
    return [int(i) for i in m.rng.permutation(least)[:int(m.rng.integers(1, min(least, 3) + 1))]]


def scatter_nd(m):
    v = m.pick("f32" if m.chance(0.7) else "n", rank=(1, 3))
    rows = distinct(m, v, 0)
    indices = ints(m, [[r] for r in rows])
    if m.chance(0.5):
        updates = m.add("Gather", [v, ints(m, [int(m.rng.integers(min(v.sizes(0)))) for _ in rows])], axis=0)
    else:
        updates = m.add("Neg", [m.add("GatherND", [v, indices])])
    reductions = ["add", "mul"] if m.opset >= 16 else []
    if m.opset >= 18:
        reductions += ["max", "min"]
    m.add("ScatterND", [v, indices, updates], **({"reduction": m.choose(reductions)} if reductions and m.chance(0.5) else {}))


def scatter_elements(m):
    v = m.pick("f32", rank=(1, 3))
    axis = filled_axis(m, v, sign=False)
    indices = m.add("ArgMin", [v], axis=axis, keepdims=1)
    updates = m.add("ReduceMax", [v] + ([ints(m, [axis])] if m.opset >= 18 else []), keepdims=1,
                    **({} if m.opset >= 18 else {"axes": [axis]}))
    attrs = {"reduction": m.choose(["add", "mul"])} if m.opset >= 16 and m.chance(0.5) else {}
    m.add("ScatterElements", [v, indices, updates], axis=axis, **attrs)


def one_hot(m):
    v = m.pick("i", rank=(0, 3), when=lambda v: v.within(-9, 9))
    depth = m.constant(np.asarray(m.choose([1, 3, 8]), np.int64))
    m.add("OneHot", [v, depth, m.constant(np.asarray([0.5, 3], np.float32))], axis=m.choose([-1, 0, v.rank]))


def top_k(m):
    v = m.pick("f32", rank=ANY_AXIS)
    axis = m.axis(v)
    least = min(v.sizes(axis))
    if m.chance(0.5):
        k = ints(m, [int(m.rng.integers(0 if m.chance(0.1) else 1, least + 1)) if least else 0])
    else:
        k = m.numbers([[int(m.rng.integers(0, size + 1))] for size in v.sizes(axis)])
    m.add("TopK", [v, k], 2, axis=axis, largest=int(m.chance(0.5)), sorted=1)


def non_zero(m):
    v = m.pick("b" if m.chance(0.5) else "n", rank=(1, 3))
    m.add("Transpose" if m.chance(0.5) else "Identity", [m.add("NonZero", [v])])


def compress(m):
    v = m.pick(rank=(1, 3))
    axis = m.axis(v)
    keep = m.input("bool", [int(m.rng.integers(1, min(v.sizes(axis)) + 1))]) if min(v.sizes(axis)) else None
    if keep is None:
        raise Rejected("empty")
    m.add("Compress", [v, keep], axis=axis)


def unique(m):
    m.add("Unique", [m.pick("i64" if m.chance(0.5) else "f32", rank=(1, 2))], m.choose([1, 2, 3, 4]), sorted=1)


def reverse_sequence(m):
    v = m.pick("f32", rank=(2, 4))
    sizes = zip(v.sizes(0), v.sizes(1))
    if v.fixed(1) is None:
        raise Rejected("sizes that no input has")
    lengths = m.numbers([m.rng.integers(1, max(time, 1) + 1, batch) for time, batch in sizes])
    m.add("ReverseSequence", [v, lengths], time_axis=0, batch_axis=1)


OPERATORS = [
    (2.5, transpose), (2, reshape), (2, computed_reshape), (0.8, flatten), (1, unsqueeze), (0.8, squeeze),
    (1.5, expand), (1, tile), (2.5, concat), (1.2, split), (0.5, split_data), (2, slice_), (1.2, slice_data),
    (1.5, pad), (2, shape_number), (0.6, range_of_data), (0.5, trilu), (0.2, eye), (1.5, gather),
    (0.5, gather_by_argmax), (0.5, gather_elements), (0.6, gather_nd), (0.7, scatter_nd), (0.6, scatter_elements),
    (0.5, one_hot), (0.8, top_k), (0.7, non_zero), (0.4, compress), (0.4, unique), (0.3, reverse_sequence),
]
