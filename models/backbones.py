"""Networks for images whose sizes are computed in the graph, as exporters write them: narrow, random weights.

    swin        windows that the image is padded to, shifted ones, patches merged two by two
    segformer   tokens and images by turns, attention to a reduced image, all stages at one size
    shufflenet  channels split in halves and shuffled through five dimensions
    mobilevit   an image resized to whole patches, whose pixels of one place attend to each other

All take image: float32 (batch, 3, height, width).
"""
import math

from exported import IMAGE, LARGEST, Dynamo, Traced
from onnx import TensorProto
from transformer import gelu
from vision import classifier, conv

WINDOW = 4  # of swin


def swin():
    """→ features (batch, 16, ⌈⌊height/4⌋/2⌉, …), logits (batch, 10)."""
    g, width = Traced("swin"), 8
    x = g.conv(g.input("image", IMAGE), 3, width, 4, stride=4)
    x = g.norm(g.op("Transpose", x, perm=[0, 2, 3, 1]), width)
    for stage in range(2):
        if stage:
            x, width = merge_patches(g, x, width), 2 * width
        for shift in (0, WINDOW // 2):
            x = g.op("Add", x, window_attention(g, g.norm(x, width), width, shift))
            y = gelu(g, g.linear(g.norm(x, width), width, 2 * width))
            x = g.op("Add", x, g.linear(y, 2 * width, width))
    x = g.op("Transpose", g.norm(x, width), perm=[0, 3, 1, 2])
    g.output(x, "features", ["batch", width, "(height // 4 + 1) // 2", "(width // 4 + 1) // 2"])
    classifier(g, x, width, 10)
    return g


def merge_patches(g, x, width):
    """(batch, H, W, width) → (batch, ⌈H/2⌉, ⌈W/2⌉, 2 · width)"""
    rows, cols = g.dims(x, 1, 2)
    x = g.pad(x, 4, 0, 0, 0, cols % 2, 0, rows % 2)
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    parts = [g.every_other(g.every_other(x, 1, row), 2, col) for row, col in places]
    x = g.norm(g.op("Concat", *parts, axis=-1), 4 * width)
    return g.op("MatMul", x, g.weight(4 * width, 2 * width))


def roll(g, x, axis, shift):
    """torch.roll"""
    tail = g.op("Slice", x, g.ints(-shift), g.ints(LARGEST), g.ints(axis))
    head = g.op("Slice", x, g.ints(0), g.ints(-shift), g.ints(axis))
    return g.op("Concat", tail, head, axis=axis)


def window_attention(g, x, width, shift):
    """(batch, H, W, width) → the same: attention within each window, the windows moved by `shift`."""
    ws, (batch, rows, cols, channels) = WINDOW, g.dims(x, 0, 1, 2, 3)
    right, below = (ws - cols % ws) % ws, (ws - rows % ws) % ws
    x = g.pad(x, 4, 0, 0, 0, right, 0, below)
    padded_rows, padded_cols = g.dims(x, 1, 2)
    if shift:
        x = roll(g, roll(g, x, 1, -shift), 2, -shift)
    windows = (padded_rows // ws) * (padded_cols // ws)
    x = g.view(x, batch, padded_rows // ws, ws, padded_cols // ws, ws, channels)
    x = g.view(g.op("Transpose", x, perm=[0, 1, 3, 2, 4, 5]), batch * windows, ws * ws, channels)
    mask = window_mask(g, padded_rows, padded_cols, windows, shift) if shift else None
    x = attend_windows(g, x, width, windows, channels, mask)
    x = g.view(x, batch, padded_rows // ws, padded_cols // ws, ws, ws, channels)
    x = g.op("Transpose", x, perm=[0, 1, 3, 2, 4, 5])
    x = g.view(x, batch, padded_rows, padded_cols, channels)
    if shift:
        x = roll(g, roll(g, x, 1, shift), 2, shift)
    return g.crop(g.crop(x, 1, rows), 2, cols)


def window_mask(g, rows, cols, windows, shift):
    """(windows, ws², ws²): 0 where two places of a shifted window were neighbours, -100 elsewhere."""
    ws, regions = WINDOW, []
    for size in (rows, cols):  # 0, and 1 from size - ws on, and 2 from size - shift on
        places = g.op("Range", g.whole(0), size, g.whole(1))
        later = [g.op("GreaterOrEqual", places, size - back) for back in (ws, shift)]
        regions.append(g.op("Add", *[g.op("Cast", at, to=TensorProto.FLOAT) for at in later]))
    row, col = g.op("Unsqueeze", regions[0], g.ints(1)), g.op("Unsqueeze", regions[1], g.ints(0))
    region = g.op("Add", g.op("Mul", row, g.real(3.0)), col)
    region = g.view(region, rows // ws, ws, cols // ws, ws)
    region = g.view(g.op("Transpose", region, perm=[0, 2, 1, 3]), windows, ws * ws)
    pairs = g.op("Unsqueeze", region, g.ints(1)), g.op("Unsqueeze", region, g.ints(2))
    apart = g.op("Sub", *pairs)
    differ = g.op("Not", g.op("Equal", apart, g.real(0.0)))
    mask = g.op("Where", differ, g.real(-100.0), apart)
    return g.op("Where", g.op("Equal", mask, g.real(0.0)), g.real(0.0), mask)


def attend_windows(g, x, width, windows, channels, mask):
    """(batch · windows, ws², width) → the same."""
    heads, every, places = width // 4, *g.dims(x, 0, 1)
    qkv = g.view(g.linear(x, width, 3 * width), every, places, 3, heads, channels // heads)
    qkv = g.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (g.op("Gather", qkv, g.whole(i), axis=0) for i in range(3))
    q = g.op("Mul", q, g.real((width // heads) ** -0.5))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = g.op("Add", scores, g.weight(1, heads, WINDOW**2, WINDOW**2, scale=0.5))
    if mask:
        scores = g.view(scores, every // windows, windows, heads, places, places)
        mask = g.op("Unsqueeze", g.op("Unsqueeze", mask, g.ints(1)), g.ints(0))
        scores = g.view(g.op("Add", scores, mask), -1, heads, places, places)
    context = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    context = g.view(g.op("Transpose", context, perm=[0, 2, 1, 3]), every, places, channels)
    return g.linear(context, width, width)


def segformer():
    """→ logits (batch, 5, height, width)."""
    g, stages = Dynamo("segformer"), []
    x = image = g.input("image", IMAGE)
    for n_in, width, kernel, stride, reduction in [(3, 8, 7, 4, 4), (8, 16, 3, 2, 2)]:
        x = g.conv(x, n_in, width, kernel, stride, pad=kernel // 2)
        rows, cols = g.dims(x, 2, 3)
        x = g.norm(tokens(g, x), width)
        y = reduced_attention(g, g.norm(x, width), width, rows, cols, reduction)
        x = g.op("Add", x, y)
        x = g.op("Add", x, mix_ffn(g, g.norm(x, width), width, rows, cols))
        x = g.view(g.norm(x, width), g.dim(x, 0), rows, cols, -1)
        x = g.op("Transpose", x, perm=[0, 3, 1, 2])
        stages.append((x, width))
    x = g.op("Concat", *[to_first(g, stages[0][0], x, width) for x, width in stages[::-1]], axis=1)
    x = conv(g, x, 16, 8, 1, activation="relu")
    x = g.resize(g.conv(x, 8, 5, 1), g.sizes_of(image), "linear")
    g.output(x, "logits", ["batch", 5, "height", "width"])
    return g


def tokens(g, x):
    """(batch, C, H, W) → (batch, H · W, C)"""
    return g.op("Transpose", g.flatten(x, 2), perm=[0, 2, 1])


def picture(g, x, rows, cols):
    """(batch, H · W, C) → (batch, C, H, W)"""
    batch, channels = g.dims(x, 0, 2)
    return g.view(g.op("Transpose", x, perm=[0, 2, 1]), batch, channels, rows, cols)


def reduced_attention(g, x, width, rows, cols, reduction):
    """(batch, H · W, width) → the same; keys and values are those of a smaller image."""
    heads, size = 2, width // 2
    batch, _, channels = g.dims(x, 0, 1, 2)

    def project(y):
        y = g.view(g.linear(y, width, width), g.dim(y, 0), -1, heads, size)
        return g.op("Transpose", y, perm=[0, 2, 1, 3])

    q = project(x)
    less = g.conv(picture(g, x, rows, cols), width, width, reduction, reduction)
    less = g.op("Transpose", g.view(less, batch, channels, -1), perm=[0, 2, 1])
    less = g.norm(less, width)
    k, v = project(less), project(less)
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    probs = g.op("Softmax", g.op("Div", scores, g.real(math.sqrt(size))), axis=-1)
    context = g.op("Transpose", g.op("MatMul", probs, v), perm=[0, 2, 1, 3])
    context = g.view(context, *g.dims(context, 0, 1), width)
    return g.linear(context, width, width)


def mix_ffn(g, x, width, rows, cols):
    """(batch, H · W, width) → the same, with a convolution of each channel in between."""
    inner = 2 * width
    y = picture(g, g.linear(x, width, inner), rows, cols)
    y = tokens(g, g.conv(y, inner, inner, 3, pad=1, groups=inner))
    return g.linear(gelu(g, y), inner, width)


def to_first(g, first, x, width):
    """A stage (batch, width, H, W) as 8 channels at the size of the first stage."""
    rows, cols = g.dims(x, 2, 3)
    y = g.op("Transpose", g.linear(tokens(g, x), width, 8), perm=[0, 2, 1])
    y = g.view(y, g.dim(x, 0), -1, rows, cols)
    return g.resize(y, g.sizes_of(first), "linear")


def shufflenet():
    """→ logits (batch, 10)."""
    g, width = Traced("shufflenet"), 8
    x = conv(g, g.input("image", IMAGE), 3, width, 3, stride=2, activation="relu")
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for halves in (halves_by_slices, halves_by_split):
        left = conv(g, conv(g, x, width, width, 3, 2, groups=width), width, width, 1, activation="relu")
        x = shuffle(g, g.op("Concat", left, branch(g, x, width, width, 2), axis=1))
        width *= 2
        left, right = halves(g, x)
        x = shuffle(g, g.op("Concat", left, branch(g, right, width // 2, width // 2, 1), axis=1))
    x = g.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    bias = g.weight(10, scale=0.1)
    g.output(g.op("Gemm", x, g.weight(10, width), bias, transB=1), "logits", ["batch", 10])
    return g


def branch(g, x, n_in, width, stride):
    x = conv(g, x, n_in, width, 1, activation="relu")
    x = conv(g, x, width, width, 3, stride, groups=width)
    return conv(g, x, width, width, 1, activation="relu")


def shuffle(g, x, groups=2):
    """The channels of the groups by turns."""
    batch, channels, rows, cols = g.dims(x, 0, 1, 2, 3)
    x = g.view(x, batch, groups, channels // groups, rows, cols)
    return g.view(g.op("Transpose", x, perm=[0, 2, 1, 3, 4]), batch, channels, rows, cols)


def halves_by_slices(g, x):
    """x.chunk(2, dim=1), as it is written for a number of chunks that is known."""
    channels = g.op("Gather", g.op("Shape", x), g.ints(1), axis=0)
    half = g.op("Div", g.op("Add", channels, g.ints(1)), g.ints(2))
    parts, start = [], g.ints(0)
    for i in range(2):
        end = g.op("Mul", half, g.ints(i + 1))
        parts.append(g.op("Slice", x, start, end, g.ints(1)))
        start = end
    return parts


def halves_by_split(g, x):
    """The same, as it is written for a number of chunks that is an operand."""
    channels = g.op("Gather", g.op("Shape", x), g.ints(1), axis=0)
    rest = g.op("Sub", g.ints(2), g.ints(1))
    half = g.op("Div", g.op("Add", channels, rest), g.ints(2))
    first = g.op("Expand", half, rest)
    last = g.op("Sub", channels, g.op("Mul", half, rest))
    return g.op("Split", x, g.op("Concat", first, last, axis=0), outputs=2, axis=1)


PATCH = 2  # of mobilevit


def mobilevit():
    """→ features (batch, 8, ⌈height/2⌉, ⌈width/2⌉), logits (batch, 10)."""
    g, width = Traced("mobilevit"), 8
    x = g.conv(g.input("image", IMAGE), 3, width, 3, stride=2, pad=1)
    patches, sizes = unfold(g, x, width)
    for _ in range(2):
        patches = g.op("Add", patches, patch_attention(g, g.norm(patches, width), width))
    y = fold(g, g.norm(patches, width), width, sizes)
    x = conv(g, g.op("Concat", x, y, axis=1), 2 * width, width, 3, activation="relu")
    g.output(x, "features", ["batch", width, "(height + 1) // 2", "(width + 1) // 2"])
    classifier(g, x, width, 10)
    return g


def up_to_patches(g, size):
    """int(ceil(size / PATCH) * PATCH), through float32."""
    real = g.op("Div", g.op("Cast", size, to=TensorProto.FLOAT), g.real(PATCH))
    return g.integer(g.op("Mul", g.op("Ceil", real), g.real(PATCH)))


def unfold(g, x, width):
    """(batch, width, H, W) → (batch · PATCH², patches, width), and the sizes that `fold` needs."""
    batch, _, rows, cols = g.dims(x, 0, 1, 2, 3)
    whole = [up_to_patches(g, size) for size in (rows, cols)]
    x = g.resize(x, g.vector(*whole), "linear")
    down, across = (size // PATCH for size in whole)
    x = g.view(x, batch * width * down, PATCH, across, PATCH)
    x = g.view(g.op("Transpose", x, perm=[0, 2, 1, 3]), batch, width, down * across, PATCH**2)
    x = g.view(g.op("Transpose", x, perm=[0, 3, 2, 1]), batch * PATCH**2, down * across, -1)
    return x, (batch, rows, cols, down, across)


def fold(g, x, width, sizes):
    batch, rows, cols, down, across = sizes
    x = g.view(x, batch, PATCH**2, down * across, -1)
    x = g.op("Transpose", x, perm=[0, 3, 2, 1])
    x = g.view(x, batch * width * down, across, PATCH, PATCH)
    x = g.op("Transpose", x, perm=[0, 2, 1, 3])
    x = g.view(x, batch, width, down * PATCH, across * PATCH)
    return g.resize(x, g.vector(rows, cols), "linear")


def patch_attention(g, x, width):
    heads, (every, places) = 2, g.dims(x, 0, 1)

    def project(_):
        y = g.view(g.linear(x, width, width), every, -1, heads, width // heads)
        return g.op("Transpose", y, perm=[0, 2, 1, 3])

    q, k, v = map(project, "qkv")
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    probs = g.op("Softmax", g.op("Div", scores, g.real(math.sqrt(width // heads))), axis=-1)
    y = g.op("Transpose", g.op("MatMul", probs, v), perm=[0, 2, 1, 3])
    return g.linear(g.view(y, every, places, width), width, width)
