#!/usr/bin/env python3
"""Writes ONNX's own tests: of operators, as the installed `onnx` package generates them, and those that
it keeps as files: layers that PyTorch exported, small graphs, and networks.

    onnx_node_tests.py OUT_DIR [--bake] [--symbolic] [--op Conv]

--bake      writes operands that give axes, shapes, pads, splits, bounds or counts into the model as
            initializers, the way real files have them. Without it they stay inputs: those cases ask
            for data-dependent shapes.
--symbolic  replaces every known dimension above 1 of every input by a symbol (one symbol for each
            distinct extent, so that equal extents stay tied) and drops the shapes of the outputs;
            ranks stay. The same case must then pass without the compiler having seen the numbers.

Each case is a folder: model.onnx, input_0.npy…, output_0.npy… (dtypes that numpy lacks as their
bits, uint8 or uint16). index.json lists the cases with their operators and tolerances; skipped.txt
lists those that have more than numeric tensors, with the reason.
"""
import argparse
import json
import pathlib
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

# Operator → positions of the operands that decide the result's shape.
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
SHAPING = {
    "AffineGrid": [1],
    "BlackmanWindow": [0],
    "CenterCropPad": [1],
    "Col2Im": [1, 2],
    "ConstantOfShape": [0],
    "CumProd": [1],
    "CumSum": [1],
    "DFT": [1, 2],
    "Expand": [1],
    "HammingWindow": [0],
    "HannWindow": [0],
    "MaxUnpool": [2],
    "MelWeightMatrix": [0, 1, 2, 3, 4],
    "OneHot": [1],
    "Pad": [1, 3],
    "Range": [0, 1, 2],
    "Reshape": [1],
    "Resize": [1, 2, 3],
    "STFT": [1, 3],
    "Slice": [1, 2, 3, 4],
    "Split": [1],
    "Squeeze": [1],
    "Tile": [1],
    "TopK": [1],
    "Trilu": [1],
    "Unsqueeze": [1],
    "Upsample": [1],
    **{f"Reduce{kind}": [1] for kind in REDUCTIONS},
}


def shaping_inputs(model):
    """The names of the graph inputs that decide shapes."""
    inputs = {value.name for value in model.graph.input}
    return {
        node.input[i]
        for node in model.graph.node
        for i in SHAPING.get(node.op_type, [])
        if i < len(node.input) and node.input[i] in inputs
    }


def bake(model, arrays):
    """Turns shape-deciding inputs into initializers; gives the arrays of the inputs that stay."""
    shaping, kept = shaping_inputs(model), []
    for value, array in zip(list(model.graph.input), arrays):
        if value.name in shaping:
            tensor = numpy_helper.from_array(np.asarray(array), value.name)
            model.graph.initializer.append(tensor)
            model.graph.input.remove(value)
        else:
            kept.append(array)
    return kept


def make_symbolic(model):
    """Replaces extents above 1 of the inputs by symbols, in place."""
    names, shaping = {}, shaping_inputs(model)
    for value in model.graph.input:
        if value.name in shaping:
            continue
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value > 1:
                name = names.setdefault(dim.dim_value, f"d{dim.dim_value}")
                dim.Clear()
                dim.dim_param = name
    for value in model.graph.output:
        if value.type.tensor_type.HasField("shape"):
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()


def as_saved(array):
    """The array as .npy files can hold it."""
    array = np.asarray(array)
    plain = array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1
    if plain:
        return array
    return array.view({1: np.uint8, 2: np.uint16}[array.dtype.itemsize])


def opset(model):
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def why_skipped(case):
    if case.model is None or not case.data_sets:
        return "no model or data"
    values = [value for part in case.data_sets[0] for value in part]
    declared = [*case.model.graph.input, *case.model.graph.output]
    tensors = (np.ndarray, np.generic, onnx.TensorProto)
    if not all(isinstance(v, tensors) for v in values) or not all(
        value.type.HasField("tensor_type") for value in declared
    ):
        return "a sequence, map or optional value"
    if any(tensor_array(v).dtype.kind in "OUST" for v in values):
        return "a string tensor"
    return None


def tensor_array(value):
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    return np.asarray(value)


@dataclass
class StoredCase:
    name: str
    model: onnx.ModelProto
    data_sets: list
    rtol: float = 1e-3
    atol: float = 1e-7


def read_value(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return tensor


def without_initializers(model):
    """The inputs that are not initializers too, as older models have it."""
    initializers = {t.name for t in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in initializers]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    return model


def stored_cases(networks):
    data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in ("pytorch-converted", "pytorch-operator", "simple"):
        for path in sorted((data / kind).glob("*/model.onnx")):
            model = without_initializers(onnx.load(path))
            name = f"{kind}_{path.parent.name.removeprefix('test_')}"
            if not all(v.type.HasField("tensor_type") for v in [*model.graph.input, *model.graph.output]):
                yield StoredCase(name, model, [([], [])])  # will be skipped
                continue
            values = path.parent / "test_data_set_0"
            inputs = [read_value(values / f"input_{i}.pb") for i in range(len(model.graph.input))]
            outputs = [read_value(values / f"output_{i}.pb") for i in range(len(model.graph.output))]
            yield StoredCase(name, model, [(inputs, outputs)])
    if not networks:
        return
    from onnx.backend.test.runner import Runner

    for path in sorted((data / "light").glob("*.onnx")):
        model = without_initializers(onnx.load(path))
        inputs = [
            Runner.generate_dummy_data(x, name=path.stem, seed=0, random=False) for x in model.graph.input
        ]
        outputs = [
            read_value(path.with_name(f"{path.stem}_output_{i}.pb")) for i in range(len(model.graph.output))
        ]
        yield StoredCase(path.stem, model, [(inputs, outputs)])


def write_case(case, folder, baked, symbolic):
    """Writes one case; gives its entry in the index."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = ([tensor_array(v) for v in part] for part in case.data_sets[0])
    if baked:
        inputs = bake(model, inputs)
    if symbolic:
        make_symbolic(model)
    onnx.save(model, folder / "model.onnx")
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, array in enumerate(arrays):
            np.save(folder / f"{kind}_{i}.npy", as_saved(array))
    return {
        "name": case.name,
        "ops": sorted({node.op_type for node in case.model.graph.node}),
        "opset": opset(case.model),
        "domains": sorted({o.domain for o in case.model.opset_import}),
        "rtol": case.rtol,
        "atol": case.atol,
    }


def write_cases(out, baked=False, symbolic=False, op=None):
    """Writes all cases below the folder `out`; gives the index."""
    from onnx.backend.test.case.node import collect_testcases

    index, skipped = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Networks have weights that their channels have to fit.
        stored = [] if op else stored_cases(networks=not symbolic)
        for case in [*collect_testcases(op), *stored]:
            why = why_skipped(case)
            if why is None:
                index.append(write_case(case, out / case.name, baked, symbolic))
            else:
                skipped.append(f"{case.name}\t{why}\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / "skipped.txt").write_text("".join(skipped))
    (out / "index.json").write_text(json.dumps(index, indent=1))
    return index


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--symbolic", action="store_true")
    parser.add_argument("--bake", action="store_true")
    parser.add_argument("--op")
    args = parser.parse_args()
    index = write_cases(args.out, args.bake, args.symbolic, args.op)
    print(f"{len(index)} cases written to {args.out}")


if __name__ == "__main__":
    main()
