"""The PP-OCRv4 models of the package rapidocr-onnxruntime, with readable names of dimensions.

    ocr_det   x: float32 (batch, 3, height, width), multiples of 32 → (batch, 1, height, width)
    ocr_rec   x: float32 (batch, 3, height, width), height from 32 to 64
              → float32 (batch, (width + 3) // 8, 6625)
"""
import importlib.util
import sys
from pathlib import Path

import onnx

IMAGE = ["batch", 3, "height", "width"]


class Renamed:
    """A model of the package, whose input and output get these dimensions."""

    def __init__(self, file, output):
        spec = importlib.util.find_spec("rapidocr_onnxruntime")
        if spec is None:
            sys.exit("the Python package rapidocr-onnxruntime is not installed (`./dev` does it)")
        self.path = Path(spec.origin).parent / "models" / file
        self.output = output

    def save(self, path):
        model = onnx.load(self.path)
        for value, dims in (model.graph.input[0], IMAGE), (model.graph.output[0], self.output):
            for dim, meaning in zip(value.type.tensor_type.shape.dim, dims):
                dim.Clear()
                if isinstance(meaning, int):
                    dim.dim_value = meaning
                else:
                    dim.dim_param = meaning
        onnx.save(model, path)


def detection():
    return Renamed("ch_PP-OCRv4_det_infer.onnx", ["batch", 1, "height", "width"])


def recognition():
    return Renamed("ch_PP-OCRv4_rec_infer.onnx", ["batch", "(width + 3) // 8", 6625])
