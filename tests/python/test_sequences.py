"""Sequences of tensors give what ONNX Runtime gives: those whose length is known when the model is compiled, and those
that a loop builds."""
import itertools
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import repose_cli
from onnx import TensorProto, helper
from test_control import BOOL, F, I64, Compared, constant, model, node, random, value


def floats(rows, cols=3):
    return random(rows, cols, seed=rows)


def building_loop(append, carried=(), more=()):
    """A loop of `n` iterations which carries a sequence, to which `append` (nodes) gives `next`."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["goes"]), *append], "body",
        [value("i", I64, []), value("go", BOOL, []), helper.make_tensor_sequence_value_info("seq", F, None), *carried],
        [value("goes", BOOL, []), helper.make_tensor_sequence_value_info("next", F, None), *more])
    return body


ROW = [node("Gather", ["x", "i"], ["row"], axis=0), node("SequenceInsert", ["seq", "row"], ["next"])]


class OfKnownLength(Compared):
    def test_constructed(self):
        for nodes in (
            [node("SequenceAt", ["s", "last"], ["y"])],
            [node("SequenceInsert", ["s", "x", "one"], ["t"]), node("ConcatFromSequence", ["t"], ["y"], axis=0)],
            [node("SequenceErase", ["s", "one"], ["t"]), node("ConcatFromSequence", ["t"], ["y"], axis=1)],
            [node("SequenceErase", ["s"], ["t"]), node("ConcatFromSequence", ["t"], ["y"], axis=-1, new_axis=1)],
            [node("SequenceLength", ["s"], ["n"]), node("Cast", ["n"], ["y"], to=F)],
        ):
            made = model(
                [node("Neg", ["x"], ["m"]), node("SequenceConstruct", ["x", "m", "x"], ["s"]), *nodes],
                [value("x", F, ["n", 3])], [helper.make_tensor_value_info("y", F, None)],
                [constant("last", np.int64(-1)), constant("one", np.int64(1))])
            self.compare(made, [{"x": floats(n)} for n in (0, 1, 4)])

    def test_split(self):
        for sizes in ([2, 1, 3], 4, None):
            lengths = [constant("sizes", np.array(sizes, np.int64))] if sizes is not None else []
            made = model(
                [node("SplitToSequence", ["x", "sizes"] if lengths else ["x"], ["s"], axis=1,
                      keepdims=0 if sizes is None else 1),
                 node("SequenceAt", ["s", "one"], ["a"]), node("SequenceAt", ["s", "last"], ["b"]),
                 node("SequenceLength", ["s"], ["count"])],
                [value("x", F, ["n", 6])],
                [helper.make_tensor_value_info(name, F, None) for name in "ab"] + [value("count", I64, [])],
                [*lengths, constant("one", np.int64(1)), constant("last", np.int64(-1))])
            self.compare(made, [{"x": floats(n, 6)} for n in (0, 1, 4)])

    def test_split_at_symbols(self):
        made = model(
            [node("Shape", ["a"], ["n"], start=0, end=1), node("Shape", ["b"], ["m"], start=0, end=1),
             node("Concat", ["n", "m"], ["sizes"], axis=0), node("Concat", ["a", "b"], ["x"], axis=0),
             node("SplitToSequence", ["x", "sizes"], ["s"], axis=0), node("SequenceAt", ["s", "one"], ["y"])],
            [value("a", F, ["n", 3]), value("b", F, ["m", 3])], [helper.make_tensor_value_info("y", F, None)],
            [constant("one", np.int64(1))])
        self.compare(made, [{"a": floats(n), "b": floats(m)} for n, m in ((0, 0), (1, 2), (3, 1))])


    def test_split_into_slices(self):
        for attributes, sizes, more in (
            ({"axis": 1}, [], {}), ({"axis": -1, "keepdims": 0}, [], {"new_axis": 1}),
            ({"axis": 1}, [constant("size", np.int64(1))], {}),
        ):
            made = model(
                [node("SplitToSequence", ["x", "size"] if sizes else ["x"], ["s"], **attributes),
                 node("SequenceAt", ["s", "at"], ["a"]), node("SequenceLength", ["s"], ["count"]),
                 node("ConcatFromSequence", ["s"], ["b"], axis=0, **more)],
                [value("x", F, ["n", "m"]), value("at", I64, [])],
                [helper.make_tensor_value_info(name, F, None) for name in "ab"] + [value("count", I64, [])], sizes)
            self.compare(made, [{"x": floats(n, m), "at": np.array(at)}
                                for n, m, at in ((1, 1, 0), (2, 5, 4), (0, 3, -2), (4, 2, 1))])

    def test_mapped(self):
        body = helper.make_graph(
            [node("Mul", ["a", "b"], ["p"]), node("Sub", ["p", "c"], ["q"]), node("ReduceSum", ["a"], ["r"], keepdims=0)],
            "body", [helper.make_tensor_value_info(name, F, None) for name in "abc"],
            [helper.make_tensor_value_info(name, F, None) for name in "qr"])
        made = model(
            [node("Neg", ["x"], ["m"]), node("SequenceConstruct", ["x", "m", "x"], ["s"]),
             node("SequenceConstruct", ["m", "m", "x"], ["t"]), node("SequenceMap", ["s", "t", "y"], ["qs", "rs"], body=body),
             node("ConcatFromSequence", ["qs"], ["a"], axis=0), node("ConcatFromSequence", ["rs"], ["b"], axis=0, new_axis=1)],
            [value("x", F, ["n", 3]), value("y", F, [3])], [helper.make_tensor_value_info(name, F, None) for name in "ab"],
            opset=18)
        self.compare(made, [{"x": floats(n), "y": random(3, seed=4)} for n in (0, 1, 4)])

    def test_mapped_slices(self):
        body = helper.make_graph(
            [node("Mul", ["a", "b"], ["p"]), node("ReduceMax", ["p"], ["q"])], "body",
            [helper.make_tensor_value_info(name, F, None) for name in "ab"], [helper.make_tensor_value_info("q", F, None)])
        made = model(
            [node("SplitToSequence", ["x"], ["s"], axis=1), node("SplitToSequence", ["z"], ["t"], axis=1),
             node("SequenceMap", ["s", "t"], ["qs"], body=body), node("ConcatFromSequence", ["qs"], ["y"], axis=0)],
            [value("x", F, ["n", "m"]), value("z", F, ["n", "k"])], [helper.make_tensor_value_info("y", F, None)], opset=18)
        self.compare(made, [{"x": floats(n, m), "z": random(n, m, seed=m)} for n, m in ((1, 1), (3, 5), (4, 2))])

    def test_optional(self):
        made = model(
            [node("Optional", ["x"], ["o"]), node("OptionalGetElement", ["o"], ["y"]), node("OptionalHasElement", ["o"], ["has"]),
             node("Optional", [], ["none"], type=helper.make_tensor_type_proto(F, ["n"])),
             node("OptionalHasElement", ["none"], ["has_not"])],
            [value("x", F, ["n"])], [helper.make_tensor_value_info("y", F, None)] +
            [value(name, BOOL, []) for name in ("has", "has_not")], opset=18)
        self.compare(made, [{"x": random(n)} for n in (0, 3)])


class BuiltByLoops(Compared):
    def built(self, behind, outputs, body=None, before=(), count="n"):
        return model(
            [*before, node("SequenceEmpty", [], ["none"], dtype=F),
             node("Loop", [count, "", "none"], ["s"], body=body or building_loop(ROW)), *behind],
            [value("x", F, ["rows", 3]), value("n", I64, [])],
            [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs])

    def feeds(self, counts=((1, 1), (4, 3), (5, 5))):
        return [{"x": floats(rows), "n": np.array(n)} for rows, n in counts]

    def test_joined(self):
        for attributes in ({"axis": 0}, {"axis": 0, "new_axis": 1}, {"axis": 1, "new_axis": 1}):
            made = self.built([node("ConcatFromSequence", ["s"], ["y"], **attributes)], [("y", F)])
            self.compare(made, self.feeds())

    def test_a_tensor_of_it(self):
        made = self.built([node("Sub", ["n", "n"], ["first"]), node("SequenceAt", ["s", "first"], ["y"]),
                           node("SequenceLength", ["s"], ["length"])], [("y", F), ("length", I64)])
        self.compare(made, self.feeds())

    def test_length_of_nothing(self):
        made = self.built([node("SequenceLength", ["s"], ["y"])], [("y", I64)])
        self.compare(made, self.feeds(((2, 0), (2, 1), (2, 2))))

    def test_beside_other_values(self):
        body = building_loop(
            [*ROW, node("Add", ["sum", "row"], ["sums"])], [value("sum", F, [3])],
            [value("sums", F, [3]), value("row", F, [3])])
        made = model(
            [node("SequenceEmpty", [], ["none"], dtype=F), node("Neg", ["z"], ["w"]),
             node("SequenceInsert", ["none", "w"], ["begin"]),
             node("Loop", ["n", "", "begin", "z"], ["s", "sum_after", "scanned"], body=body),
             node("ConcatFromSequence", ["s"], ["y"], axis=0)],
            [value("x", F, ["rows", 3]), value("n", I64, []), value("z", F, [3])],
            [helper.make_tensor_value_info(name, F, None) for name in ("y", "sum_after", "scanned")])
        self.compare(made, [{**feed, "z": random(3, seed=9)} for feed in self.feeds()])

    def test_what_is_refused(self):
        identity = [node("Identity", ["seq"], ["next"])]
        twice = [*ROW[:1], node("SequenceInsert", ["seq", "row"], ["mid"]),
                 node("SequenceInsert", ["mid", "row"], ["next"])]
        joined = [node("ConcatFromSequence", ["s"], ["y"], axis=0)]
        for made, says in (
            (self.built(joined, [("y", F)], building_loop(identity)), "does more than append one tensor"),
            (self.built(joined, [("y", F)], building_loop(twice)), "does more than append one tensor"),
            (self.built([node("SequenceErase", ["s"], ["t"]), node("SequenceLength", ["t"], ["y"])], [("y", I64)]),
             "changes a sequence whose length only a run tells"),
            (self.built([node("Relu", ["s"], ["y"])], [("y", F)]), "is a sequence, expected a tensor"),
            (self.built([node("SequenceLength", ["x"], ["y"])], [("y", I64)]), "is a tensor, expected a sequence"),
            (model([node("SequenceEmpty", [], ["s"]), *joined], [], [helper.make_tensor_value_info("y", F, None)]),
             "the sequence is empty"),
            (model([node("SplitToSequence", ["x", "two"], ["s"]), *joined], [value("x", F, ["n"])],
                   [value("y", F, ["k"])], [constant("two", np.int64(2))]), "the number of parts is not known"),
            (model([node("Optional", [], ["o"], type=helper.make_tensor_type_proto(F, ["n"])),
                    node("Relu", ["o"], ["y"])], [value("x", F, ["n"])], [value("y", F, ["n"])], opset=18),
             "operand 0 is missing"),
            (model([node("Optional", [], ["y"], type=helper.make_tensor_type_proto(F, ["n"]))], [value("x", F, ["n"])],
                   [value("y", F, ["n"])], opset=18), "an optional value without an element"),
            (model([node("SequenceConstruct", ["x"], ["y"])], [value("x", F, ["n"])],
                   [helper.make_tensor_sequence_value_info("y", F, None)]), "sequence"),
            (model([node("SequenceConstruct", ["x", "x"], ["s"]), node("SequenceAt", ["s", "p"], ["y"])],
                   [value("x", F, ["n"])], [value("y", F, ["k"])], [constant("p", np.int64(2))]),
             "the position is no number from -2 to 1"),
        ):
            with self.subTest(says), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "m.onnx"
                onnx.save(made, path)
                done = repose_cli.compile_model(repose_cli.default_repose(), path, Path(folder) / "m.so")
                self.assertIn(done.code, (repose_cli.UNSUPPORTED, repose_cli.MALFORMED), done.text)
                self.assertIn(says, done.text)


if __name__ == "__main__":
    unittest.main()
