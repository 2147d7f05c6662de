"""Grows random ONNX graphs that are valid at several shapes.

Each node is computed by ONNX Runtime as soon as it is made, by itself and at every shape, so that the types
and the values of all its results are known to what chooses the next node. It is computed a second time from
values that are off by a few units in the last place: a node whose results then differ by more than rounding
(a tie, a comparison of equals, a size that depends on it) is not taken. What is left has one right answer.
"""
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

FLOATS, INTEGERS = ("float32", "float64", "float16"), ("int64", "int32")
KINDS = {
    "f": FLOATS, "i": INTEGERS, "b": ("bool",), "n": FLOATS + INTEGERS, "f32": ("float32",), "i64": ("int64",),
    "byte": ("uint8", "int8"), "integer": INTEGERS + ("uint8", "int8"), "*": None,
}
# Of a tensor's largest magnitude: how far two results of it may be apart, and how large the noise is.
TOLERANCES = {"float32": 2e-4, "float64": 1e-6, "float16": 4e-2}
NOISE = {"float32": 2e-6, "float64": 1e-9, "float16": 1e-3}
MOST_ELEMENTS, MOST_RANK, LARGEST = 3000, 5, {"float16": 200}
SHAPES = 4
ANY_AXIS = (1, 4)
UNKNOWN_DIMENSION = 0.04  # how often a dimension of an input has no name


class Rejected(Exception):
    """The node is not possible here; the graph is as it was, or has nodes more that nobody asks for."""


def apart(want, have):
    """Why two arrays are not the same up to rounding; None if they are."""
    if want.dtype != have.dtype or want.shape != have.shape:
        return f"{have.dtype} {have.shape}, expected {want.dtype} {want.shape}"
    if want.size == 0 or np.array_equal(want, have):
        return None
    if want.dtype.kind != "f":
        where = np.unravel_index(np.argmax(want != have), want.shape)
        return f"{have[where]} at {[int(i) for i in where]}, expected {want[where]}"
    distance = np.abs(want.astype(np.float64) - have.astype(np.float64))
    distance = np.where(np.isnan(distance), np.inf, distance)
    limit = TOLERANCES[want.dtype.name] * max(float(np.abs(want.astype(np.float64)).max()), 1e-3)
    if distance.max() <= limit:
        return None
    where = np.unravel_index(np.argmax(distance), want.shape)
    return f"{have[where]} at {[int(i) for i in where]}, expected {want[where]}, limit {limit:.1e}"


@dataclass
class Value:
    """A tensor of the graph: its contents at each shape, and with noise."""

    name: str
    arrays: list
    noisy: list
    constant: bool = False

    @property
    def dtype(self):
        return self.arrays[0].dtype

    @property
    def rank(self):
        return self.arrays[0].ndim

    def sizes(self, axis):
        return [a.shape[axis] for a in self.arrays]

    def fixed(self, axis):
        """The size of an axis if it is the same at every shape."""
        sizes = set(self.sizes(axis))
        return sizes.pop() if len(sizes) == 1 else None

    def within(self, low, high):
        return all(a.size == 0 or (a.min() >= low and a.max() <= high) for a in self.arrays)

    @property
    def is_empty_somewhere(self):
        return any(a.size == 0 for a in self.arrays)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def element_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class Root:
    """What the graph and its subgraphs share."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.choice([13, 15, 17, 18, 19, 20, 21, 22, 23]))
        self.domains = set()
        self.names = 0
        self.inputs = []  # (Value, dimensions as they are declared)
        self.symbols = self.draw_symbols()

    def draw_symbols(self):
        """Sizes of each symbol: small ones, ones, often a zero, larger ones."""
        rng, symbols = self.rng, {}
        has_zero = rng.random() < 0.35
        for name in ("n", "m", "k")[: int(rng.integers(1, 4))]:
            last = 0 if has_zero and rng.random() < 0.6 else int(rng.integers(1, 5))
            symbols[name] = [int(rng.integers(2, 7)), 1 if rng.random() < 0.7 else 3, last, int(rng.integers(3, 18))]
        return symbols

    def new_name(self, stem):
        self.names += 1
        return f"{stem}{self.names}"


class Maker:
    """A graph that grows. `values` are those that a node may take: of the graph, and of graphs around it."""

    def __init__(self, root, outer=()):
        self.root, self.rng, self.opset = root, root.rng, root.opset
        self.values, self.own = list(outer), []
        self.nodes, self.initializers = [], []
        self.depth = 0

    def child(self):
        child = Maker(self.root, self.values)
        child.depth = self.depth + 1
        return child

    # ---- Choosing

    def choose(self, options):
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, kind="*", rank=(0, MOST_RANK), when=lambda v: True, make=None):
        """A value, rather a late one; `make` gives one where there is none."""
        low, high = rank if isinstance(rank, tuple) else (rank, rank)
        dtypes = KINDS[kind]
        fit = [v for v in self.values
               if (dtypes is None or v.dtype.name in dtypes) and low <= v.rank <= high and when(v)]
        if not fit or (make and self.chance(0.1)):
            if make and len(self.root.inputs) < 7:
                return make()
            raise Rejected("no such value")
        return fit[-1 - min(int(self.rng.exponential(len(fit) / 3)), len(fit) - 1)]

    def axis(self, v, sign=True):
        if v.rank == 0:
            raise Rejected("no axis")
        axis = int(self.rng.integers(v.rank))
        return axis - v.rank if sign and self.chance(0.3) else axis

    def axes(self, v, most=MOST_RANK, least=1):
        if v.rank < least:
            raise Rejected("no axis")
        count = int(self.rng.integers(least, min(v.rank, most) + 1))
        axes = [int(a) for a in self.rng.permutation(v.rank)[:count]]
        return [a - v.rank if self.chance(0.2) else a for a in axes]

    # ---- Values that no node makes

    def constant(self, array, stem="c"):
        array = np.asarray(array)
        value = Value(self.root.new_name(stem), [array] * SHAPES, [array] * SHAPES, constant=True)
        self.initializers.append(numpy_helper.from_array(array, value.name))
        return value

    def floats(self, *shape, dtype=np.float32):
        """A constant of weights."""
        return self.constant(np.asarray(self.rng.uniform(-1, 1, shape), dtype), "w")

    def input(self, dtype, dims, draw=None):
        """A new input of the model. dims: symbols and sizes; draw: (rng, shape) → array."""
        rng, arrays = self.rng, []
        for at in range(SHAPES):
            shape = [self.root.symbols[d][at] if isinstance(d, str) else d for d in dims]
            arrays.append(np.asarray((draw or draw_values(dtype))(rng, shape), dtype).reshape(shape))
        value = Value(self.root.new_name("x"), arrays, [self.noise(a) for a in arrays])
        declared = [None if isinstance(d, str) and rng.random() < UNKNOWN_DIMENSION else d for d in dims]
        self.root.inputs.append((value, declared))
        self.values.append(value)
        return value

    def dims(self, rank):
        """Dimensions of an input: symbols, and some sizes."""
        names = list(self.root.symbols)
        return [self.choose(names) if self.chance(0.65) else int(self.rng.integers(1, 6)) for _ in range(rank)]

    def new_input(self, dtype="float32", rank=None):
        return self.input(dtype, self.dims(int(self.rng.integers(1, 5)) if rank is None else rank))

    def numbers(self, lists, dtype=np.int64):
        """An input whose contents at each shape are given (data that sizes depend on)."""
        lists = iter([np.asarray(numbers, dtype) for numbers in lists])
        first = np.asarray(next(lists), dtype)
        given = [first, *lists]
        value = Value(self.root.new_name("d"), given, given)
        self.root.inputs.append((value, list(first.shape)))
        self.values.append(value)
        return value

    # ---- Nodes

    def noise(self, a):
        if a.dtype.name not in NOISE or a.size == 0:
            return a
        scale = NOISE[a.dtype.name]
        moved = a * (1 + scale * self.rng.uniform(-1, 1, a.shape))
        moved += scale * np.abs(a).max() * self.rng.uniform(-1, 1, a.shape) * (a != 0)
        return np.asarray(moved.astype(a.dtype))

    def add(self, op, inputs, outputs=1, domain="", **attrs):
        """A node; its only result, or the list of them. An input of None is left out."""
        names = ["" if v is None else v.name for v in inputs]
        results = [self.root.new_name("v") for _ in range(outputs)]
        node = helper.make_node(op, names, results, domain=domain, **attrs)
        return self.add_node(node, [v for v in inputs if v is not None])

    def add_node(self, node, used):
        """`used`: the values that the node reads, also those that its subgraphs capture."""
        used = list({v.name: v for v in used}.values())
        made = self.compute(node, used)
        for value in made:
            self.check(value)
        self.nodes.append(node)
        self.values += made
        self.own += made
        if node.domain:
            self.root.domains.add(node.domain)
        return made[0] if len(made) == 1 else made

    def compute(self, node, used):
        given = [v for v in used if not v.constant]
        inputs = [helper.make_tensor_value_info(v.name, element_type(v.dtype), [None] * v.rank) for v in given]
        constants = [numpy_helper.from_array(v.arrays[0], v.name) for v in used if v.constant]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "node", inputs, outputs, constants)
        try:
            run = session(make_model(graph, self.opset, {node.domain} | self.root.domains)).run
            both = [[run(None, {v.name: arrays(v)[at] for v in given}) for at in range(SHAPES)]
                    for arrays in (lambda v: v.arrays, lambda v: v.noisy)]
        except Exception as error:  # whatever ONNX Runtime raises: it doesn't have this node
            raise Rejected(str(error)) from error
        made = []
        for i, name in enumerate(node.output):
            exact, noisy = ([np.asarray(results[i]) for results in runs] for runs in both)
            made.append(Value(name, exact, [self.noise(a) for a in noisy]))
        return made

    def check(self, v):
        if any(a.ndim != v.rank or a.dtype != v.dtype for a in v.arrays) or v.rank > MOST_RANK:
            raise Rejected("rank")
        for exact, noisy in zip(v.arrays, v.noisy):
            if exact.size > MOST_ELEMENTS:
                raise Rejected("large")
            if exact.dtype.kind == "f" and exact.size:
                if not np.isfinite(exact).all() or np.abs(exact).max() > LARGEST.get(v.dtype.name, 1e3):
                    raise Rejected("not finite, or large")
            if exact.dtype.kind == "i" and exact.dtype.itemsize > 2 and exact.size and np.abs(exact).max() > 10**6:
                raise Rejected("large")
            if exact.dtype.kind not in "fiub" or not is_robust(exact, noisy):
                raise Rejected("a rounding cliff")


# ---- What the functions that add nodes share

def ints(m, numbers):
    return m.constant(np.asarray(numbers, np.int64))


def broadcasts(v):
    """Whether a value fits beside v at every shape."""
    def fits(other):
        return all(
            all(a == b or a == 1 or b == 1 for a, b in zip(x.shape[::-1], y.shape[::-1]))
            for x, y in zip(v.arrays, other.arrays))
    return fits


def filled_axis(m, v, sign=True):
    axis = m.axis(v, sign)
    if 0 in v.sizes(axis):
        raise Rejected("an empty axis")
    return axis


def is_robust(exact, noisy):
    if exact.dtype.kind != "f":
        return np.array_equal(exact, noisy)
    if exact.shape != noisy.shape:
        return False
    if exact.size == 0:
        return True
    largest = max(float(np.abs(exact.astype(np.float64)).max()), 1e-3)
    distance = np.abs(exact.astype(np.float64) - noisy.astype(np.float64)).max()
    return distance <= 0.15 * TOLERANCES[exact.dtype.name] * largest


def draw_values(dtype):
    """(rng, shape) → values of an input of this dtype: of floats, none near 0."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return lambda rng, shape: rng.random(shape) < 0.5
    if dtype.kind == "u":
        return lambda rng, shape: rng.integers(0, 100, shape)
    if dtype.kind == "i":
        return lambda rng, shape: rng.integers(-9, 10, shape)
    return lambda rng, shape: rng.uniform(0.05, 2, shape) * rng.choice([-1, 1], shape)


def make_model(graph, opset, domains=()):
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in sorted(domains) if d]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@dataclass
class Sample:
    """A model, its inputs at each shape, the results that it has to give, and its other values."""

    model: onnx.ModelProto
    feeds: list
    expected: list
    inner: list

    @property
    def operators(self):
        return [node.op_type for node in self.model.graph.node]


def make_sample(seed, operators, most_nodes=10):
    """A random model. operators: [(weight, function of a Maker)]."""
    maker = Maker(Root(seed))
    rng, weights = maker.rng, np.array([weight for weight, _ in operators], float)
    for _ in range(int(rng.integers(1, 4))):
        maker.new_input()
    maker.new_input("int64" if rng.random() < 0.8 else "int32", int(rng.integers(0, 3)))
    grow(maker, operators, weights / weights.sum(), int(rng.integers(2, most_nodes + 1)))
    return finish(maker)


def grow(maker, operators, weights, count):
    """Adds nodes, or at least tries to."""
    for _ in range(4 * count):
        if len(maker.nodes) >= count:
            return
        function = operators[int(maker.rng.choice(len(operators), p=weights))][1]
        try:
            function(maker)
        except Rejected:
            pass


def finish(maker):
    """The model with all values as outputs that no node takes, and with some others."""
    used = {name for node in maker.nodes for name in node_inputs(node)}
    results = [v for v in maker.own if v.name not in used or maker.rng.random() < 0.1]
    outputs = [helper.make_tensor_value_info(v.name, element_type(v.dtype), None) for v in results]
    inputs = [(v, dims) for v, dims in maker.root.inputs if v.name in used]
    known = [helper.make_tensor_value_info(v.name, element_type(v.dtype), dims) for v, dims in inputs]
    constants = [c for c in maker.initializers if c.name in used]
    graph = helper.make_graph(maker.nodes, "random", known, outputs, constants)
    feeds = [{v.name: v.arrays[at] for v, _ in inputs} for at in range(SHAPES)]
    names = {v.name for v in results}
    expected, inner = ([{v.name: v.arrays[at] for v in maker.own if (v.name in names) == is_result}
                        for at in range(SHAPES)] for is_result in (True, False))
    return Sample(make_model(graph, maker.opset, maker.root.domains), feeds, expected, inner)


def node_inputs(node):
    """All names that a node reads, in its subgraphs too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from (o.name for o in attribute.g.output)
            for inner in attribute.g.node:
                yield from node_inputs(inner)
