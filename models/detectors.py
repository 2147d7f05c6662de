"""Networks that find things in images whose sizes are computed in the graph, as exporters write them: narrow,
random weights.

    detr             a mask resized to the features, places counted in it, encoder and decoder over tokens
    feature_pyramid  maps of four sizes, each resized to the size of the next
    efficientdet     convolutions whose padding depends on the size of the image, maps fused in both directions
    detector         boxes around anchors on grids, and non-maximum suppression

All take image: float32 (batch, 3, height, width); detr also pixel_mask: int64 (batch, height, width), 0 where the
image is padding.
"""
import numpy as np
from exported import IMAGE, LARGEST, Dynamo, Traced
from onnx import TensorProto
from vision import conv


def halved(stride):
    """The declared height and width of a map of this stride, rounded up."""
    return [f"({size} + {stride - 1}) // {stride}" for size in ("height", "width")]


WIDTH, HEADS, QUERIES = 16, 2, 5  # of detr


def detr():
    """→ logits (batch, 5, 4), boxes (batch, 5, 4), memory (batch, ⌈height/16⌉ · ⌈width/16⌉, 16)."""
    g = Traced("detr")
    image = g.input("image", IMAGE)
    pixel_mask = g.input("pixel_mask", ["batch", "height", "width"], TensorProto.INT64)
    x = conv(g, image, 3, 8, 3, 2, activation="relu")
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = conv(g, conv(g, x, 8, 12, 3, 2, activation="relu"), 12, WIDTH, 3, 2, activation="relu")
    mask = mask_of_map(g, pixel_mask, x)
    places = sequence(g, sine_places(g, mask))
    memory, keep = sequence(g, g.conv(x, WIDTH, WIDTH, 1)), g.flatten(mask, 1)

    at = g.op("Add", memory, places)
    y = attention(g, at, at, memory, keep)
    memory = feed_forward(g, g.norm(g.op("Add", memory, y), WIDTH))

    queries = g.op("Unsqueeze", g.weight(QUERIES, WIDTH, scale=1.0), g.ints(0))
    queries = repeat(g, queries, g.dim(image, 0), 1, 1)
    x = g.full(g.op("Shape", queries), np.float32(0))
    at = g.op("Add", x, queries)
    x = g.norm(g.op("Add", x, attention(g, at, at, x)), WIDTH)
    y = attention(g, g.op("Add", x, queries), g.op("Add", memory, places), memory, keep)
    x = g.norm(feed_forward(g, g.norm(g.op("Add", x, y), WIDTH)), WIDTH)

    boxes = g.linear(g.op("Relu", g.linear(x, WIDTH, WIDTH)), WIDTH, 4)
    g.output(g.linear(x, WIDTH, 4), "logits", ["batch", QUERIES, 4])
    g.output(g.op("Sigmoid", boxes), "boxes", ["batch", QUERIES, 4])
    rows, cols = halved(16)
    g.output(memory, "memory", ["batch", f"({rows}) * ({cols})", WIDTH])
    return g


def mask_of_map(g, pixel_mask, x):
    """The mask at the size of the map x: bool (batch, H, W)."""
    mask = g.op("Unsqueeze", g.op("Cast", pixel_mask, to=TensorProto.FLOAT), g.ints(0))
    mask = g.op("Cast", g.resize(mask, g.sizes_of(x)), to=TensorProto.BOOL)
    return g.op("Gather", mask, g.whole(0), axis=0)


def sine_places(g, mask):
    """Sines and cosines of where a place is in the part that the mask keeps: (batch, WIDTH, H, W)."""
    half = WIDTH // 2
    period = 10000.0 ** (2 * (np.arange(half) // 2) / half)
    parts = []
    for axis in (1, 2):
        count = g.op("CumSum", g.op("Cast", mask, to=TensorProto.FLOAT), g.whole(axis))
        last = g.op("Slice", count, g.ints(-1), g.ints(LARGEST), g.ints(axis))
        count = g.op("Div", count, g.op("Add", last, g.real(1e-6)))
        count = g.op("Mul", count, g.real(2 * np.pi))
        angles = g.op("Unsqueeze", count, g.ints(-1))
        angles = g.op("Div", angles, g.const(period.astype(np.float32), "period"))
        waves = [g.op(kind, g.every_other(angles, 3, i)) for i, kind in enumerate(("Sin", "Cos"))]
        waves = [g.op("Unsqueeze", wave, g.ints(4)) for wave in waves]
        parts.append(g.flatten(g.op("Concat", *waves, axis=4), 3))
    return g.op("Transpose", g.op("Concat", *parts, axis=3), perm=[0, 3, 1, 2])


def sequence(g, x):
    """(batch, C, H, W) → (batch, H · W, C)"""
    return g.op("Transpose", g.flatten(x, 2), perm=[0, 2, 1])


def repeat(g, x, *times):
    """x.repeat(times)"""
    times = g.vector(*times)
    return g.op("Tile", g.op("Expand", x, g.full(g.op("Shape", times), np.int64(1))), times)


def attention(g, queries, keys, values, keep=None):
    """(batch, n, WIDTH) from queries (batch, n, WIDTH), keys and values (batch, m, WIDTH), of which `keep`
    (batch, m) leaves some out. Heads are rows of the batch."""
    size, (batch, targets, width) = WIDTH // HEADS, g.dims(queries, 0, 1, 2)

    def project(x, rows):
        x = g.view(g.linear(x, WIDTH, WIDTH), batch, rows, HEADS, size)
        return g.view(g.op("Transpose", x, perm=[0, 2, 1, 3]), batch * HEADS, -1, size)

    q, k, v = project(queries, targets), project(keys, -1), project(values, -1)
    sources = g.dim(k, 1)
    scores = g.op("Mul", q, g.real(size**-0.5))
    scores = g.op("MatMul", scores, g.op("Transpose", k, perm=[0, 2, 1]))
    if keep:
        scores = g.view(scores, batch, HEADS, targets, sources)
        scores = g.op("Add", scores, hiding(g, keep, targets))
        scores = g.view(scores, batch * HEADS, targets, sources)
    y = g.view(g.op("MatMul", g.op("Softmax", scores, axis=-1), v), batch, HEADS, targets, size)
    y = g.view(g.op("Transpose", y, perm=[0, 2, 1, 3]), batch, targets, width)
    return g.linear(y, WIDTH, WIDTH)


def hiding(g, keep, targets):
    """What is added to scores: (batch, 1, targets, m)."""
    batch, sources = g.dims(keep, 0, 1)
    keep = g.op("Unsqueeze", g.op("Unsqueeze", keep, g.ints(1)), g.ints(2))
    keep = g.op("Cast", g.expand(keep, batch, 1, targets, sources), to=TensorProto.FLOAT)
    hidden = g.op("Sub", g.real(1.0), keep)
    lowest = g.real(np.finfo(np.float32).min)
    return g.op("Where", g.op("Cast", hidden, to=TensorProto.BOOL), lowest, hidden)


def feed_forward(g, x):
    y = g.linear(g.op("Relu", g.linear(x, WIDTH, 2 * WIDTH)), 2 * WIDTH, WIDTH)
    return g.norm(g.op("Add", x, y), WIDTH)


def feature_pyramid():
    """→ p2 … p5 (batch, 8, ⌈height/4⌉, …) … (batch, 8, ⌈height/32⌉, …), and every other place of p5."""
    g, levels, n_in = Dynamo("feature_pyramid"), [], 8
    x = conv(g, g.input("image", IMAGE), 3, n_in, 3, 2, activation="relu")
    for width in (8, 12, 16, 20):
        x, n_in = conv(g, x, n_in, width, 3, 2, activation="relu"), width
        levels.append((x, width))
    inner, maps = None, []
    for x, width in levels[::-1]:
        lateral = g.conv(x, width, 8, 1)
        inner = lateral if inner is None else g.op("Add", lateral, g.resize(inner, g.sizes_of(lateral)))
        maps.insert(0, g.conv(inner, 8, 8, 3, pad=1))
    for i, x in enumerate(maps, 2):
        g.output(x, f"p{i}", ["batch", 8, *halved(2**i)])
    pool = g.op("MaxPool", maps[-1], kernel_shape=[1, 1], strides=[2, 2], pads=[0] * 4)
    g.output(pool, "pool", ["batch", 8, *halved(64)])
    return g


def efficientdet():
    """→ p3 … p5 (batch, 6, ⌈height/8⌉, …) … (batch, 6, ⌈height/32⌉, …)."""
    g = Traced("efficientdet")
    x = same_conv(g, g.input("image", IMAGE), 3, 8, 3, padding_of_integers)
    x = g.op("Relu", same_conv(g, g.op("Relu", x), 8, 8, 3, padding_of_floats))
    p3 = g.op("Relu", auto_conv(g, x, 8, 8, 3))
    p4 = g.op("Relu", same_conv(g, p3, 8, 8, 5, padding_of_floats))
    p5 = same_pool(g, p4)

    rows, cols = g.dims(p4, 2, 3)
    up = g.op("Resize", p5, "", g.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    inner = fuse(g, p4, g.crop(g.crop(up, 2, rows), 3, cols))
    out3 = fuse(g, p3, g.resize(inner, g.sizes_of(p3)))
    out4 = fuse(g, p4, inner, same_pool(g, out3))
    auto = g.op("MaxPool", out4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    for i, x in enumerate((out3, out4, fuse(g, p5, auto)), 3):
        g.output(g.conv(x, 8, 6, 1), f"p{i}", ["batch", 6, *halved(2**i)])
    return g


def padding_of_integers(g, size, kernel, stride):
    """What makes a dimension of this size ⌈size / stride⌉, in all: max((⌈size / s⌉ - 1) · s + k - size, 0)."""
    needed = ((size + (stride - 1)) // stride - 1) * stride + kernel - size
    pad = g.arithmetic("Max", needed, 0)
    return pad // 2, pad - pad // 2


def padding_of_floats(g, size, kernel, stride):
    """The same with a division that isn't one of integers."""
    size = g.op("Cast", size, to=TensorProto.FLOAT)
    steps = g.op("Ceil", g.op("Div", size, g.real(stride)))
    needed = g.op("Mul", g.op("Sub", steps, g.real(1)), g.real(stride))
    needed = g.op("Add", g.op("Add", needed, g.real(kernel - 1)), g.real(1))
    pad = g.op("Max", g.op("Sub", needed, size), g.real(0))
    before = g.op("Cast", g.op("Div", pad, g.real(2)), to=TensorProto.INT64)
    before = g.op("Cast", before, to=TensorProto.FLOAT)
    after = g.op("Sub", pad, before)
    return [g.integer(part) for part in (before, after)]


def padded_same(g, x, kernel, padding, value=0.0):
    rows, cols = g.dims(x, 2, 3)
    return g.pad(x, 4, *padding(g, cols, kernel, 2), *padding(g, rows, kernel, 2), value=value)


def same_conv(g, x, n_in, n_out, kernel, padding):
    """Stride 2: (batch, n_in, H, W) → (batch, n_out, ⌈H/2⌉, ⌈W/2⌉)."""
    return g.conv(padded_same(g, x, kernel, padding), n_in, n_out, kernel, 2)


def auto_conv(g, x, n_in, n_out, kernel):
    """The same by ONNX's own attribute."""
    w, bias = g.weight(n_out, n_in, kernel, kernel), g.weight(n_out, scale=0.1)
    return g.op("Conv", x, w, bias, kernel_shape=[kernel] * 2, strides=[2, 2], auto_pad="SAME_UPPER")


def same_pool(g, x):
    x = padded_same(g, x, 3, padding_of_integers, value=-np.inf)
    return g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0] * 4)


def fuse(g, *maps):
    """The sum of maps of one size, each with its share, then a convolution."""
    weights = g.op("Relu", g.const(1 + 0.3 * g.rng.random(len(maps), np.float32), "share"))
    total = g.op("Add", g.op("ReduceSum", weights, keepdims=0), g.real(1e-4))
    parts = []
    for i, x in enumerate(maps):
        part = g.op("Mul", x, g.op("Gather", weights, g.whole(i), axis=0))
        parts.append(g.op("Unsqueeze", g.op("Div", part, total), g.ints(-1)))
    x = g.op("ReduceSum", g.op("Concat", *parts, axis=-1), g.ints(-1), keepdims=0)
    x = g.op("Mul", x, g.op("Sigmoid", x))
    return conv(g, g.conv(x, 8, 8, 3, pad=1, groups=8), 8, 8, 1)


ANCHORS = {8: [(10, 13), (16, 30), (33, 23)], 16: [(30, 61), (62, 45), (59, 39)],
           32: [(56, 90), (76, 88), (90, 60)]}  # of detector: sizes in pixels, by stride
CLASSES = 2
# Of boxes in a class; of two boxes; of a box. With random images of 32 to 100 pixels, few and many are left.
MOST, OVERLAP, LEAST_SCORE = 12, 0.5, 0.7


def detector():
    """→ predictions (batch, n, 7), of every anchor at every place; boxes (k, 4), scores (k,) and classes (k,) of
    what is left, first the first image's, class by class."""
    g, levels, n_in = Traced("detector"), [], 8
    x = conv(g, g.input("image", IMAGE), 3, n_in, 3, 2, activation="relu")
    x = conv(g, x, n_in, n_in, 3, 2, activation="relu")
    for width, (stride, anchors) in zip((8, 12, 16), ANCHORS.items()):
        x, n_in = conv(g, x, n_in, width, 3, 2, activation="relu"), width
        levels.append(boxes_of_level(g, x, width, stride, anchors))
    predictions = g.op("Concat", *levels, axis=1)
    centre, size, sure, likely = g.op(
        "Split", predictions, g.ints(2, 2, 1, CLASSES), outputs=4, axis=2)
    half = g.op("Div", size, g.real(2))
    boxes = g.op("Concat", g.op("Sub", centre, half), g.op("Add", centre, half), axis=2)
    scores = g.op("Transpose", g.op("Mul", likely, sure), perm=[0, 2, 1])
    limits = g.ints(MOST), g.scalar(OVERLAP), g.scalar(LEAST_SCORE)
    kept = g.op("NonMaxSuppression", boxes, scores, *limits)  # (k, 3): image, class, place
    n = " + ".join(f"3 * (({a}) * ({b}))" for a, b in map(halved, ANCHORS))
    g.output(predictions, "predictions", ["batch", n, 5 + CLASSES])
    place = g.op("Gather", kept, g.ints(0, 2), axis=1)
    g.output(g.op("GatherND", boxes, place), "boxes", ["kept", 4])
    g.output(g.op("GatherND", scores, kept), "scores", ["kept"])
    g.output(g.op("Gather", kept, g.whole(1), axis=1), "classes", ["kept"], TensorProto.INT64)
    return g


def boxes_of_level(g, x, width, stride, anchors):
    """(batch, width, H, W) → (batch, 3 · H · W, 7): centre, size, whether there is a thing, which."""
    anchors, outputs = np.array(anchors, np.float32), 5 + CLASSES
    x = conv(g, x, width, len(anchors) * outputs, 1)
    batch, rows, cols = g.dims(x, 0, 2, 3)
    x = g.view(x, batch, len(anchors), outputs, rows, cols)
    x = g.op("Transpose", x, perm=[0, 1, 3, 4, 2])
    rows, cols = g.dims(x, 2, 3)
    grid = g.op("Sub", g.expand(mesh(g, rows, cols), 1, len(anchors), rows, cols, 2), g.real(0.5))
    sizes = g.expand(g.const(anchors[None, :, None, None]), 1, len(anchors), rows, cols, 2)
    places, spread, rest = g.op(
        "Split", g.op("Sigmoid", x), g.ints(2, 2, 1 + CLASSES), outputs=3, axis=4)
    places = g.op("Mul", g.op("Add", g.op("Mul", places, g.real(2)), grid), g.real(stride))
    spread = g.op("Mul", g.op("Pow", g.op("Mul", spread, g.real(2)), g.real(2)), sizes)
    x = g.op("Concat", places, spread, rest, axis=4)
    return g.view(x, batch, cols * len(anchors) * rows, outputs)


def mesh(g, rows, cols):
    """Where each place is, as (column, row): (H, W, 2)."""
    ranges = [g.op("Range", g.whole(0), size, g.whole(1)) for size in (rows, cols)]
    ranges = [g.op("Cast", places, to=TensorProto.FLOAT) for places in ranges]
    lengths = [g.op("Shape", places) for places in ranges]
    shape, grids = g.op("Concat", *lengths, axis=0), []
    for axis, (places, length) in enumerate(zip(ranges, lengths)):
        aligned = [length, g.ints(1)] if axis == 0 else [g.ints(1), length]
        places = g.op("Reshape", places, g.op("Concat", *aligned, axis=0))
        grids.append(g.op("Unsqueeze", g.op("Expand", places, shape), g.ints(-1)))
    return g.op("Concat", *grids[::-1], axis=-1)
