"""Control flow and recurrent layers give what ONNX Runtime gives, at several sizes, 0 and 1 among them, from one
compilation with symbolic dimensions."""
import itertools
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import repose_c
import repose_cli
from onnx import TensorProto, helper, numpy_helper

F, I64, I32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL
IN, HIDDEN = 5, 6


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name, data):
    return numpy_helper.from_array(np.asarray(data), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def model(nodes, inputs, outputs, initializers=(), opset=17):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 8
    return made


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Compared(unittest.TestCase):
    def compare(self, made, feeds, tolerance=1e-4, expected=None):
        """One compilation, then every set of `feeds`. `expected`: in ONNX Runtime's place."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            onnx.save(made, path)
            if expected is None:
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 4
                session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                expected = lambda given: session.run(None, given)  # noqa: E731
            # Where dead memory is overwritten, what is needed later shows.
            for options in ([], ["--debug-memory"]):
                library = Path(folder) / f"m{len(options)}.so"
                compiled = repose_cli.compile_model(repose_cli.default_repose(), path, library, options)
                self.assertTrue(compiled.ok, compiled.text)
                self.run_all(library, feeds, expected, tolerance)

    def run_all(self, library, feeds, expected, tolerance):
        with repose_c.Model(library) as native:
            for given in feeds:
                sizes = {name: list(array.shape) for name, array in given.items()}
                for got, want in zip(native(given), expected(given), strict=True):
                    want = np.asarray(want)
                    if want.size == 0:  # ONNX Runtime doesn't know the sizes of rows that aren't there
                        self.assertEqual((got.size, got.ndim, got.shape[0]), (0, want.ndim, want.shape[0]))
                        continue
                    self.assertEqual(got.shape, want.shape, sizes)
                    self.assertEqual(got.dtype, want.dtype, sizes)
                    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance,
                                               err_msg=str(sizes))


# ---- Recurrent layers

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SIZES = [(0, 2), (1, 1), (1, 3), (7, 1), (7, 4), (16, 8), (5, 0)]


def layer(op, directions=1, *, layout=0, lengths=False, initial=False, peepholes=False, bias=True,
          constant_weights=True, outputs=None, **attributes):
    rows = GATES[op] * HIDDEN
    weights = {"W": random(directions, rows, IN, seed=1) * 0.5, "R": random(directions, rows, HIDDEN, seed=2) * 0.5}
    if bias:
        weights["B"] = random(directions, 2 * rows, seed=3) * 0.5
    if peepholes:
        weights["P"] = random(directions, 3 * HIDDEN, seed=4) * 0.5
    states = ["initial_h", "initial_c"] if op == "LSTM" else ["initial_h"]
    inputs = [value("X", F, ["batch", "steps", IN] if layout else ["steps", "batch", IN])]
    names = ["X", "W", "R", "B" if bias else "", "lengths" if lengths else ""]
    names += [name if initial else "" for name in states]
    if peepholes:
        names.append("P")
    if lengths:
        inputs.append(value("lengths", I32, ["batch"]))
    if initial:
        shape = ["batch", directions, HIDDEN] if layout else [directions, "batch", HIDDEN]
        inputs += [value(name, F, shape) for name in states]
    if not constant_weights:
        inputs += [value(name, F, list(w.shape)) for name, w in weights.items()]
    outputs = outputs or (["Y", "Y_h", "Y_c"] if op == "LSTM" else ["Y", "Y_h"])
    attributes["direction"] = attributes.get("direction") or ("bidirectional" if directions == 2 else "forward")
    if layout:
        attributes["layout"] = layout
    while not names[-1]:
        names.pop()
    made = model([node(op, names, outputs, hidden_size=HIDDEN, **attributes)], inputs,
                 [value(name, F, None) for name in outputs if name],
                 [constant(name, w) for name, w in weights.items()] if constant_weights else [])

    def feeds(steps, batch):
        given = {"X": random(*((batch, steps) if layout else (steps, batch)), IN, seed=steps + batch)}
        if lengths:
            given["lengths"] = np.random.default_rng(5).integers(0, steps + 1, batch).astype(np.int32)
        if initial:
            for k, name in enumerate(states):
                given[name] = random(*((batch, directions) if layout else (directions, batch)), HIDDEN, seed=6 + k)
        if not constant_weights:
            given.update(weights)
        return given

    return made, feeds


class Recurrent(Compared):
    def check(self, op, directions=1, sizes=SIZES, **options):
        made, feeds = layer(op, directions, **options)
        # ONNX Runtime refuses no steps, and no batch with lengths.
        sizes = [(steps, batch) for steps, batch in sizes if steps > 0 and batch > 0]
        with self.subTest(op=op, directions=directions, **options):
            self.compare(made, [feeds(*size) for size in sizes])

    def test_directions(self):
        for op in GATES:
            self.check(op)
            self.check(op, direction="reverse")
            self.check(op, 2)

    def test_lengths_and_initial_states(self):
        for op in GATES:
            self.check(op, 2, lengths=True)
            self.check(op, 2, initial=True)
            self.check(op, 1, lengths=True, initial=True, direction="reverse")

    def test_some_results(self):
        self.check("LSTM", outputs=["", "Y_h"])
        self.check("LSTM", outputs=["", "", "Y_c"])
        self.check("GRU", outputs=["Y"])

    def test_lstm(self):
        self.check("LSTM", 2, peepholes=True)
        self.check("LSTM", clip=0.3)
        self.check("LSTM", input_forget=1)
        self.check("LSTM", 2, bias=False)

    def test_gru(self):
        self.check("GRU", 2, linear_before_reset=1)
        self.check("GRU", linear_before_reset=1, lengths=True)
        self.check("GRU", clip=0.3)

    def test_weights_that_are_data(self):
        for op in GATES:
            self.check(op, constant_weights=False)

    def test_activations(self):
        for name, numbers in [("Relu", {}), ("Sigmoid", {}), ("Softsign", {}), ("Softplus", {}),
                              ("LeakyRelu", {"activation_alpha": [0.2]}),
                              ("ThresholdedRelu", {"activation_alpha": [0.4]}),
                              ("Elu", {"activation_alpha": [0.7]}),
                              ("HardSigmoid", {"activation_alpha": [0.3], "activation_beta": [0.4]}),
                              ("Affine", {"activation_alpha": [0.5], "activation_beta": [0.1]}),
                              ("ScaledTanh", {"activation_alpha": [1.2], "activation_beta": [0.6]})]:
            self.check("RNN", activations=[name], sizes=[(5, 2)], **numbers)
        self.check("LSTM", activations=["Sigmoid", "Tanh", "Softsign"], sizes=[(5, 2)])
        self.check("GRU", 2, activations=["HardSigmoid", "Relu", "Sigmoid", "Tanh"], sizes=[(5, 2)])

    def test_layout(self):
        """ONNX Runtime has no batch first: the same layer, transposed."""
        for op in GATES:
            first, feeds = layer(op, 2, layout=1, initial=True)
            second, _ = layer(op, 2, initial=True)
            options = onnxruntime.SessionOptions()
            session = onnxruntime.InferenceSession(second.SerializeToString(), options,
                                                   providers=["CPUExecutionProvider"])

            def expected(given, session=session):
                y, *states = session.run(None, {name: np.swapaxes(a, 0, 1) for name, a in given.items()})
                return [y.transpose(2, 0, 1, 3), *(np.swapaxes(state, 0, 1) for state in states)]

            self.compare(first, [feeds(steps, batch) for steps, batch in SIZES if steps and batch], expected=expected)

    def test_nothing(self):
        """No steps and no batch: empty results, the initial states."""
        for op in GATES:
            made, feeds = layer(op, initial=True)

            def expected(given):
                steps, batch = given["X"].shape[:2]
                states = [a for name, a in given.items() if name != "X"]
                return [np.zeros((steps, 1, batch, HIDDEN), np.float32), *states]

            self.compare(made, [feeds(0, 2), feeds(3, 0), feeds(0, 0)], expected=expected)


# ---- If, Loop, Scan


def branch(name, nodes, result, shape=None, dtype=F):
    return helper.make_graph(nodes, name, [], [value(result, dtype, shape)])


class SizesOfData(Compared):
    def test_a_slice_clamped_beyond_any_memory(self):
        """What the slice may have at most is no size for the arena."""
        made = model([node("Range", ["zero", "end", "half"], ["r"]), node("Slice", ["r", "b", "e", "a", "s"], ["p"]),
                      node("CumSum", ["p", "axis"], ["q"]), node("ReduceSum", ["q"], ["y"])],
                     [value("end", F, [])], [value("y", F, None)],
                     [constant("zero", np.float32(0)), constant("half", np.float32(0.5)), constant("b", np.array([-2])),
                      constant("e", np.array([0])), constant("a", np.array([0])), constant("s", np.array([-1])),
                      constant("axis", np.int64(0))])
        self.compare(made, [{"end": np.array(e, np.float32)} for e in (0, 0.7, 3, 60.2)])


class Branches(Compared):
    def test_data_decides_between_shapes(self):
        twice = branch("t", [node("Concat", ["x", "x"], ["a"], axis=0)], "a")
        once = branch("e", [node("Neg", ["y"], ["b"])], "b")
        made = model([node("If", ["c"], ["z"], then_branch=twice, else_branch=once), node("Relu", ["z"], ["r"])],
                     [value("c", BOOL, []), value("x", F, ["n", 3]), value("y", F, ["m", 3])], [value("r", F, None)])
        self.compare(made, [{"c": np.array(c), "x": random(n, 3), "y": random(m, 3, seed=1)}
                            for c in (True, False) for n, m in [(0, 1), (1, 0), (4, 2)]])

    def test_sizes_decide_between_ranks(self):
        squeezed = branch("t", [node("Squeeze", ["x", "axis"], ["a"])], "a")
        same = branch("e", [node("Identity", ["x"], ["b"])], "b")
        made = model([node("Shape", ["x"], ["s"]), node("Gather", ["s", "one"], ["c"]), node("Equal", ["c", "one"], ["is"]),
                      node("If", ["is"], ["y"], then_branch=squeezed, else_branch=same),
                      node("Exp", ["y"], ["e"]), node("ReduceSum", ["e"], ["z"], keepdims=0)],
                     [value("x", F, ["n", "c", "w"])], [value("z", F, None)],
                     [constant("one", np.int64(1)), constant("axis", np.array([1]))])
        self.compare(made, [{"x": random(*shape)} for shape in [(2, 1, 3), (2, 4, 3), (1, 1, 1)]])

    def test_a_branch_that_is_wrong(self):
        """What follows can't have the rank that one branch gives: a model that takes it fails."""
        squeezed = branch("t", [node("Squeeze", ["x", "axis"], ["a"])], "a")
        same = branch("e", [node("Identity", ["x"], ["b"])], "b")
        made = model([node("If", ["c"], ["y"], then_branch=squeezed, else_branch=same),
                      node("Concat", ["y", "v"], ["z"], axis=0)],
                     [value("c", BOOL, []), value("x", F, ["n", "m"]), value("v", F, ["k"])], [value("z", F, None)],
                     [constant("axis", np.array([1]))])
        takes = lambda c, m: {"c": np.array(c), "x": random(3, m), "v": random(2)}  # noqa: E731
        self.compare(made, [takes(True, 1)], expected=lambda given: [np.concatenate([given["x"][:, 0], given["v"]])])
        with self.assertRaisesRegex(repose_c.Refused, "the branch that is taken cannot run"):
            self.compare(made, [takes(False, 1)], expected=lambda given: [])

    def test_nested_with_captured_values(self):
        inner = node("If", ["d"], ["i"], then_branch=branch("it", [node("Add", ["h", "x"], ["p"])], "p"),
                     else_branch=branch("ie", [node("Sub", ["h", "x"], ["q"])], "q"))
        outer = node("If", ["c"], ["o"],
                     then_branch=branch("ot", [node("Exp", ["x"], ["h"]), inner], "i"),
                     else_branch=branch("oe", [node("Neg", ["x"], ["k"])], "k"))
        made = model([outer, node("Mul", ["o", "x"], ["z"])],
                     [value("c", BOOL, []), value("d", BOOL, []), value("x", F, ["n"])], [value("z", F, None)])
        self.compare(made, [{"c": np.array(c), "d": np.array(d), "x": random(n)}
                            for c, d, n in itertools.product((True, False), (True, False), (0, 1, 5))])


def body(nodes, carried, stacked, extra_inputs=()):
    """A Loop's body: `carried` is [(input, output, shape)], `stacked` [output]."""
    inputs = [value("iter", I64, []), value("cond_in", BOOL, [])]
    inputs += [value(name, F, shape) for name, _, shape in carried]
    outputs = [value("cond_out", BOOL, [])] + [value(name, F, shape) for _, name, shape in carried]
    return helper.make_graph(nodes, "body", inputs, outputs + [value(name, F, None) for name in stacked])


class Loops(Compared):
    ONES = [node("Identity", ["cond_in"], ["cond_out"])]

    def test_trip_count_is_data(self):
        step = body([*self.ONES, node("Mul", ["h", "x"], ["m"]), node("Tanh", ["m"], ["h2"]), node("Neg", ["h2"], ["row"])],
                    [("h", "h2", ["n"])], ["row"])
        made = model([node("Loop", ["trips", "", "x"], ["last", "rows"], body=step)],
                     [value("trips", I64, []), value("x", F, ["n"])], [value("last", F, None), value("rows", F, None)])
        self.compare(made, [{"trips": np.array(t), "x": random(n)} for t in (0, 1, 6) for n in (0, 1, 5)])

    def test_trip_count_is_a_size(self):
        step = body([*self.ONES, node("Gather", ["x", "iter"], ["row"], axis=0), node("Add", ["sum", "row"], ["next"])],
                    [("sum", "next", [3])], ["next_row"])
        step.node.append(node("Identity", ["next"], ["next_row"]))
        made = model([node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
                      node("Loop", ["n", "", "start"], ["last", "rows"], body=step)],
                     [value("x", F, ["n", 3])], [value("last", F, None), value("rows", F, None)],
                     [constant("zero", np.int64(0)), constant("start", np.zeros(3, np.float32))])
        self.compare(made, [{"x": random(n, 3)} for n in (0, 1, 2, 9)])

    def test_condition_ends_it(self):
        step = body([node("Add", ["h", "x"], ["h2"]), node("ReduceSum", ["h2"], ["sum"], keepdims=0),
                     node("Less", ["sum", "limit"], ["cond_out"])], [("h", "h2", ["n"])], ["h2_row"])
        step.node.append(node("Identity", ["h2"], ["h2_row"]))
        for trips in ("", "trips"):
            made = model([node("Loop", [trips, "go", "x"], ["last", "rows"], body=step)],
                         [value("go", BOOL, []), value("limit", F, []), value("x", F, ["n"])]
                         + ([value("trips", I64, [])] if trips else []),
                         [value("last", F, None), value("rows", F, None)])
            feeds = [{"go": np.array(go), "limit": np.array(limit, np.float32), "x": np.abs(random(n)) + 0.5}
                     for go in (True, False) for limit in (0, 3, 40) for n in (1, 4)]
            for given in feeds if trips else []:
                given["trips"] = np.array(5)
            self.compare(made, feeds)

    def test_a_value_grows(self):
        step = body([*self.ONES, node("Concat", ["h", "x"], ["h2"], axis=0)], [("h", "h2", None)], [])
        made = model([node("Loop", ["trips", "", "x"], ["last"], body=step), node("Relu", ["last"], ["y"])],
                     [value("trips", I64, []), value("x", F, ["n", 2])], [value("y", F, None)])
        self.compare(made, [{"trips": np.array(t), "x": random(n, 2)} for t in (0, 1, 5) for n in (0, 1, 3)])

    def test_a_value_shrinks_until_it_is_small(self):
        """Halves what it carries: its size is another one in each iteration."""
        step = body([node("Shape", ["h"], ["s"]), node("Add", ["s", "one"], ["s1"]), node("Div", ["s1", "two"], ["half"]),
                     node("Slice", ["h", "zero", "half"], ["h2"]), node("Shape", ["h2"], ["s2"]),
                     node("Greater", ["s2", "one"], ["more"]), node("Squeeze", ["more"], ["cond_out"])],
                    [("h", "h2", None)], [])
        made = model([node("Loop", ["", "go", "x"], ["last"], body=step)], [value("x", F, ["n"])],
                     [value("last", F, None)],
                     [constant("go", np.array(True)), constant("zero", np.array([0])), constant("one", np.array([1])),
                      constant("two", np.array([2]))])
        self.compare(made, [{"x": random(n)} for n in (1, 2, 7, 64)])

    def test_values_change_places(self):
        step = body([*self.ONES, node("Add", ["a", "b"], ["c"]), node("Identity", ["b"], ["b2"])],
                    [("a", "b2", ["n"]), ("b", "c", ["n"])], [])
        made = model([node("Loop", ["trips", "", "x", "y"], ["p", "q"], body=step)],
                     [value("trips", I64, []), value("x", F, ["n"]), value("y", F, ["n"])],
                     [value("p", F, None), value("q", F, None)])
        self.compare(made, [{"trips": np.array(t), "x": random(n), "y": random(n, seed=1)}
                            for t in (0, 1, 2, 7) for n in (0, 1, 4)])

    def test_nested(self):
        inner_body = helper.make_graph(
            [node("Identity", ["c2"], ["c2_out"]), node("Mul", ["v", "x"], ["m"]), node("Add", ["m", "h"], ["v2"]),
             node("Identity", ["v2"], ["v_row"])], "inner",
            [value("j", I64, []), value("c2", BOOL, []), value("v", F, ["n"])],
            [value("c2_out", BOOL, []), value("v2", F, ["n"]), value("v_row", F, None)])
        step = body([*self.ONES, node("Add", ["iter", "one"], ["inner_trips"]),
                     node("Loop", ["inner_trips", "", "h"], ["in", "in_rows"], body=inner_body),
                     node("ReduceSum", ["in_rows", "first"], ["sums"], keepdims=0), node("Add", ["in", "sums"], ["t"]),
                     node("Tanh", ["t"], ["h2"]), node("Identity", ["h2"], ["row"])], [("h", "h2", ["n"])], ["row"])
        made = model([node("Loop", ["trips", "", "x"], ["last", "rows"], body=step)],
                     [value("trips", I64, []), value("x", F, ["n"])], [value("last", F, None), value("rows", F, None)],
                     [constant("first", np.array([0])), constant("one", np.int64(1))])
        self.compare(made, [{"trips": np.array(t), "x": random(n)} for t in (0, 1, 4) for n in (1, 3)])


    def test_sizes_of_an_inner_loop_are_carried(self):
        """Sizes that only the body computes stay the ones that its results have."""
        made = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
            g (float[r, n] x, int64 trips, int64 inner) => (float[] y, float[] ys) {
              y, ys = Loop (trips, "", x) <body = b (int64 i, bool go, float[] p) => (bool go2, float[] q, float[] s) {
                v = Loop (inner, "", x) <body = c (int64 j, bool on, float[] u) => (bool on2, float[] w) {
                  size = Shape (x)
                  wide = Expand (p, size)
                  turned = Transpose <perm = [1, 0]> (wide)
                  w = Tanh (turned)
                  on2 = Identity (on)
                }>
                m = Mul (x, v)
                q = Sigmoid (m)
                s = Sigmoid (q)
                go2 = Identity (go)
              }>
            }""")
        self.compare(made, [{"x": random(n, n), "trips": np.array(t), "inner": np.array(k)}
                            for n in (1, 4) for t in (1, 3) for k in (0, 1, 2)])


class Scans(Compared):
    def test_axes_and_directions(self):
        step = helper.make_graph(
            [node("Add", ["s", "a"], ["t"]), node("Mul", ["t", "b"], ["s2"]), node("Neg", ["s2"], ["r"]),
             node("Identity", ["s2"], ["q"])], "body",
            [value("s", F, ["n"]), value("a", F, ["n"]), value("b", F, ["n"])],
            [value("s2", F, ["n"]), value("r", F, ["n"]), value("q", F, ["n"])])
        made = model([node("Scan", ["s0", "x", "y"], ["last", "rs", "qs"], body=step, num_scan_inputs=2,
                           scan_input_axes=[1, 0], scan_input_directions=[0, 1], scan_output_axes=[0, 1],
                           scan_output_directions=[1, 0])],
                     [value("s0", F, ["n"]), value("x", F, ["n", "t"]), value("y", F, ["t", "n"])],
                     [value(name, F, None) for name in ("last", "rs", "qs")])
        self.compare(made, [{"s0": random(n), "x": random(n, t, seed=1), "y": random(t, n, seed=2)}
                            for n in (1, 4) for t in (1, 2, 7)])

    # Of operator set 8: an axis for the batch in front of everything, each member with a length of its own.
    def batched(self, with_lengths):
        step = helper.make_graph(
            [node("Add", ["s", "a"], ["t"]), node("Mul", ["t", "b"], ["s2"]), node("Neg", ["s2"], ["r"])], "body",
            [value("s", F, ["n"]), value("a", F, ["n"]), value("b", F, ["n"])],
            [value("s2", F, ["n"]), value("r", F, ["n"])])
        lengths = [value("lengths", I64, ["batch"])] if with_lengths else []
        return model([node("Scan", ["lengths" if with_lengths else "", "s0", "x", "y"], ["last", "rs"], body=step,
                           num_scan_inputs=2, directions=[0, 1])],
                     [*lengths, value("s0", F, ["batch", "n"]), value("x", F, ["batch", "t", "n"]),
                      value("y", F, ["batch", "t", "n"])],
                     [value("last", F, None), value("rs", F, None)], opset=8)

    def test_batches(self):
        shapes = [(batch, t, n) for batch in (1, 3) for t in (1, 5) for n in (1, 4)]
        feeds = [{"s0": random(b, n), "x": random(b, t, n, seed=1), "y": random(b, t, n, seed=2)} for b, t, n in shapes]
        self.compare(self.batched(False), feeds)
        for feed in feeds:
            b, t = feed["x"].shape[:2]
            feed["lengths"] = np.array([(t - k - 1) % t + 1 for k in range(b)])
        self.compare(self.batched(True), feeds)


if __name__ == "__main__":
    unittest.main()
