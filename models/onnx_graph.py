"""Writes whole networks as ONNX: a few lines over onnx.helper.

`Graph` collects nodes and initializers. Every method that adds something returns the name of its
value, so a network reads like the formula it computes:

    g = Graph("mlp")
    x = g.input("x", ["batch", 64])
    g.output(g.op("Relu", g.op("MatMul", x, g.weight(64, 32))), "y", ["batch", 32])

Dimensions are numbers or names of symbols. Random weights come from one generator with a fixed
seed: the same network is the same file, to the byte.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# A protobuf message ends at 2 GB; larger weights go into a file beside the model.
EXTERNAL_DATA_BYTES = 1_900_000_000


class Graph:
    def __init__(self, name, opset=17, seed=0):
        self.name, self.opset = name, opset
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def fresh(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def input(self, name, dims, dtype=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, dims))
        return name

    def output(self, value, name, dims, dtype=TensorProto.FLOAT):
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, dims))

    def const(self, array, stem="c"):
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def ints(self, *values):
        """A vector of int64: (len(values),)."""
        return self.const(np.array(values, np.int64), "i")

    def scalar(self, value):
        """One float32, of shape (1,) as many exporters write it."""
        return self.const(np.array([value], np.float32), "s")

    def weight(self, *dims, scale=None, stem="w"):
        """Normally distributed float32 of shape `dims`, scaled by 1 / sqrt(fan-in) unless told."""
        fan_in = dims[0] if len(dims) == 2 else int(np.prod(dims[1:])) or 1
        scale = fan_in**-0.5 if scale is None else scale
        return self.const(self.rng.standard_normal(dims, np.float32) * np.float32(scale), stem)

    def op(self, kind, *inputs, outputs=1, **attributes):
        """Adds a node; gives the name of its output, or the list of them where outputs > 1."""
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def model(self):
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, self.initializers
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def save(self, path):
        model = self.model()
        weight_bytes = sum(len(t.raw_data) for t in model.graph.initializer)
        if weight_bytes > EXTERNAL_DATA_BYTES:
            onnx.save(model, path, save_as_external_data=True, location=path.name + ".data")
        else:
            onnx.save(model, path)
