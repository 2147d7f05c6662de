#!/usr/bin/env python3
"""Calls a compiled model with numpy arrays through TVM FFI (pip install apache-tvm-ffi numpy):

    repose compile flatten_relu.relax -o flatten_relu.so
    python call_model.py flatten_relu.so
"""
import sys

import numpy as np
import tvm_ffi


def main(path):
    model = tvm_ffi.load_module(path)
    flatten_relu = model["main"]
    for rows in (0, 1, 2, 7, 64):
        b = np.random.default_rng(rows).standard_normal((rows, 224), dtype=np.float32)
        y = np.from_dlpack(flatten_relu(tvm_ffi.from_dlpack(b)))
        np.testing.assert_array_equal(y, np.maximum(b.reshape(-1), 0))
        print(f"{b.shape} -> {y.shape}: as expected")

    try:  # what does not fit is refused, with the reason
        flatten_relu(tvm_ffi.from_dlpack(np.zeros((3, 225), np.float32)))
    except Exception as refused:  # TVM FFI's own kind
        print(f"refused: {refused}")
    else:
        sys.exit("a matrix with 225 columns was not refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
