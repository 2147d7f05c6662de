"""Control flow in random graphs: If, Loop and Scan, whose bodies are grown like graphs of their own."""
import numpy as np
from graph_maker import Rejected, Value, element_type, grow, node_inputs
from graph_operators import OPERATORS
from onnx import helper

MOST_DEPTH = 2


def grow_body(m, least=1):
    table = OPERATORS + (CONTROL if m.depth < MOST_DEPTH else [])
    weights = np.array([weight for weight, _ in table], float)
    grow(m, table, weights / weights.sum(), int(m.rng.integers(least, 4)))


def body_graph(m, inputs, outputs):
    """The body as a graph; inputs: values that it is given, outputs: values of it."""
    given = [helper.make_tensor_value_info(v.name, element_type(v.dtype), [] if v.rank == 0 else None) for v in inputs]
    results = [helper.make_tensor_value_info(v.name, element_type(v.dtype), None) for v in outputs]
    return helper.make_graph(m.nodes, m.root.new_name("body"), given, results, m.initializers)


def inside(body):
    """The names that are the body's own, at any depth."""
    names = {v.name for v in body.input} | {c.name for c in body.initializer}
    for node in body.node:
        names.update(node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= inside(attribute.g)
    return names


def captured(m, *bodies):
    """The values of the graphs around that bodies read."""
    known = {v.name: v for v in [*m.values, *(v for v, _ in m.root.inputs)]}
    read = set()
    for body in bodies:
        own = inside(body)
        names = [n for node in body.node for n in node_inputs(node)] + [o.name for o in body.output]
        read |= {n for n in names if n not in own}
    if not read <= set(known):
        raise Rejected("a value that is not in sight")
    return [known[n] for n in sorted(read)]


def own_result(m, body, like=None):
    """A value that the body makes; `like`: of the same dtype and sizes."""
    found = [v for v in body.own if like is None or (v.dtype == like.dtype and v.rank == like.rank and
                                                     all(a.shape == b.shape for a, b in zip(v.arrays, like.arrays)))]
    if not found:
        raise Rejected("no such result")
    return found[-1] if m.chance(0.7) else m.choose(found)


def condition(m):
    """A bool scalar: data, or a comparison of sizes or of values."""
    kind = int(m.rng.integers(3))
    if kind == 0:
        return m.numbers([m.chance(0.5) for _ in range(4)], np.bool_)
    if kind == 1:
        v = m.pick(rank=(1, 4))
        size = m.add("Gather", [m.add("Shape", [v]), m.constant(np.asarray(m.axis(v, sign=False), np.int64))])
        return m.add(m.choose(["Greater", "Less", "Equal"]), [size, m.constant(np.asarray(int(m.rng.integers(1, 6)), np.int64))])
    total = m.add("ReduceSum", [m.pick("f32", rank=(1, 4))], keepdims=0)
    return m.add("Greater", [total, m.constant(np.asarray(0.3, np.float32))])


def if_(m):
    decides = condition(m)
    bodies, results = [], []
    for _ in range(2):
        body = m.child()
        grow_body(body)
        results.append(own_result(m, body))
        bodies.append(body)
    a, b = results
    if a.dtype != b.dtype or a.rank != b.rank:
        matching = [(x, y) for x in bodies[0].own for y in bodies[1].own if x.dtype == y.dtype and x.rank == y.rank]
        if not matching:
            raise Rejected("branches of different types")
        a, b = m.choose(matching)
    graphs = [body_graph(body, [], [v]) for body, v in zip(bodies, (a, b))]
    node = helper.make_node("If", [decides.name], [m.root.new_name("v")], then_branch=graphs[0], else_branch=graphs[1])
    m.add_node(node, [decides, *captured(m, *graphs)])


def parameter(m, body, v):
    """What the body gets in place of a value of the graph around: at first, that value."""
    value = Value(m.root.new_name("p"), v.arrays, v.noisy)
    body.values.append(value)
    return value


def bounded(m, body, v):
    """A value that stays in bounds however often the body runs."""
    if v.dtype.kind == "f":
        return body.add(m.choose(["Tanh", "Sigmoid", "Softsign"]), [v])
    if v.dtype.kind == "i":
        return body.add("Mod", [v, body.constant(np.asarray(7, v.dtype))])
    return body.add("Not", [v]) if v.dtype.kind == "b" else body.add("Identity", [v])


def loop(m):
    """Carried values keep their shapes; one result is stacked."""
    init = m.pick("f32" if m.chance(0.8) else "n", rank=(0, 3), when=lambda v: v.dtype.name != "float16")
    body = m.child()
    counter = Value(m.root.new_name("i"), [np.asarray(0, np.int64)] * 4, [np.asarray(0, np.int64)] * 4)
    goes_in = Value(m.root.new_name("go"), [np.asarray(True)] * 4, [np.asarray(True)] * 4)
    body.values.append(counter)
    carried = parameter(m, body, init)
    grow_body(body)
    next_value = bounded(m, body, own_result(m, body, like=init) if m.chance(0.7) else body.add("Neg", [carried])
                         if carried.dtype.kind != "b" else carried)
    if any(a.shape != b.shape for a, b in zip(next_value.arrays, init.arrays)) or next_value.dtype != init.dtype:
        raise Rejected("the carried value changes its type")
    stacked = [bounded(m, body, own_result(m, body))] if m.chance(0.6) else []
    if m.chance(0.3):
        limit = body.constant(np.asarray(int(m.rng.integers(1, 4)), np.int64))
        goes_on = body.add("Less", [counter, limit])
    else:
        goes_on = body.add("Identity", [goes_in])
    graph = body_graph(body, [counter, goes_in, carried], [goes_on, next_value, *stacked])
    trips = trip_count(m)
    if stacked and not trips.within(1, 99):
        raise Rejected("ONNX Runtime doesn't know the rank of no rows")
    go = m.choose([None, m.constant(np.asarray(True))]) if trips is not None else m.constant(np.asarray(True))
    outputs = [m.root.new_name("v") for _ in range(1 + len(stacked))]
    node = helper.make_node("Loop", [v.name if v else "" for v in (trips, go)] + [init.name], outputs, body=graph)
    m.add_node(node, [v for v in (trips, go, init) if v is not None] + captured(m, graph))


def trip_count(m):
    if m.chance(0.4):
        return m.constant(np.asarray(int(m.rng.integers(0, 5)), np.int64))
    if m.chance(0.5):
        return m.numbers([int(m.rng.integers(0, 6)) for _ in range(4)])
    v = m.pick(rank=(1, 4))
    return m.add("Gather", [m.add("Shape", [v]), m.constant(np.asarray(m.axis(v, sign=False), np.int64))])


def scan(m):
    """One state, one or two inputs that are taken apart along an axis."""
    rows = m.pick("f32", rank=(1, 4), when=lambda v: not v.is_empty_somewhere)
    axis = m.axis(rows, sign=False)
    init = m.pick("f32", rank=(0, 3))
    body = m.child()
    state = parameter(m, body, init)
    row = Value(m.root.new_name("r"), [a.take(0, axis) for a in rows.arrays], [a.take(0, axis) for a in rows.noisy])
    body.values.append(row)
    grow_body(body)
    next_state = bounded(m, body, own_result(m, body, like=init) if m.chance(0.6) else state)
    stacked = bounded(m, body, own_result(m, body))
    graph = body_graph(body, [state, row], [next_state, stacked])
    attrs = {"scan_input_axes": [axis]} if axis or m.chance(0.3) else {}
    if m.chance(0.3):
        attrs["scan_input_directions"] = [1]
    if m.chance(0.3):
        attrs["scan_output_directions"] = [1]
    if stacked.rank and m.chance(0.3):
        attrs["scan_output_axes"] = [1]
    outputs = [m.root.new_name("v") for _ in range(2)]
    node = helper.make_node("Scan", [init.name, rows.name], outputs, body=graph, num_scan_inputs=1, **attrs)
    m.add_node(node, [init, rows, *captured(m, graph)])


CONTROL = [(2, if_), (2, loop), (1.2, scan)]
