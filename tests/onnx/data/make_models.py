"""Writes the .onnx files of this folder. Run it with the `onnx` package; it is deterministic."""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = pathlib.Path(__file__).parent


def save(model, name, **options):
    onnx.checker.check_model(model)
    onnx.save_model(model, str(folder / name), **options)


def mlp():
    """Two layers, weights raw and typed, a symbolic batch, a local function, metadata."""
    w = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
    b = helper.make_tensor("b", TensorProto.FLOAT, [3], [0.5, -1.0, 2.0])
    h = helper.make_tensor("h", TensorProto.FLOAT16, [2], np.array([1.5, -2.0], np.float16))
    idx = helper.make_tensor("idx", TensorProto.INT64, [2], [-1, 5000000000])
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["g"], name="gemm", alpha=0.25, transB=0),
        helper.make_node("Twice", ["g"], ["t"], name="twice", domain="local", k=3),
        helper.make_node("Constant", [], ["c"], value=idx),
        helper.make_node("ReduceMean", ["t"], ["y"], name="mean", axes=[-1, 0], keepdims=1),
    ]
    twice = helper.make_function(
        "local", "Twice", ["a"], ["r"],
        [helper.make_node("Add", ["a", "a"], ["r"])],
        [helper.make_opsetid("", 17)], ["k"])
    graph = helper.make_graph(
        nodes, "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [w, b, h, idx],
        value_info=[helper.make_tensor_value_info("g", TensorProto.FLOAT, [None, 3])])
    model = helper.make_model(
        graph, functions=[twice], producer_name="make_models", producer_version="1",
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("local", 1)], ir_version=9)
    helper.set_model_props(model, {"task": "test"})
    save(model, "mlp.onnx")


def branch():
    """If with two subgraphs, and sequence and optional types."""
    def body(name, operator):
        return helper.make_graph(
            [helper.make_node(operator, ["x"], [name])], name, [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])])

    node = helper.make_node("If", ["cond"], ["y"], then_branch=body("then", "Relu"),
                            else_branch=body("else", "Neg"))
    sequence = helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(TensorProto.INT64, [2]))
    graph = helper.make_graph(
        [node, helper.make_node("Identity", ["s"], ["z"])], "branch",
        [helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"]),
         helper.make_value_info("s", helper.make_optional_type_proto(sequence))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]),
         helper.make_value_info("z", helper.make_optional_type_proto(sequence))])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
         "branch.onnx")


def external():
    """Two weights in one file beside the model."""
    weights = [numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "u"),
               numpy_helper.from_array(np.arange(4, dtype=np.int64) * 7, "v")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["u"], ["y"])], "external", [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])], weights)
    (folder / "external.data").unlink(missing_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
         "external.onnx", save_as_external_data=True, location="external.data", size_threshold=0)


mlp()
branch()
external()
