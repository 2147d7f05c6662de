"""Calls the hand-written model from Python by TVM FFI: tvm_ffi_test.py fake_model.so"""
import gc
import os
import sys

import numpy as np


def expect_error(kind, text, function, *args):
    try:
        function(*args)
    except kind as error:
        assert text in str(error), str(error)
    else:
        raise AssertionError(f"expected {kind.__name__}: {text}")


def load_before_tvm_ffi(path):
    """The library is in the process, and was called, before libtvm_ffi is."""
    import ctypes

    assert "tvm_ffi" not in sys.modules
    library = ctypes.CDLL(path)
    none = (ctypes.c_byte * 16)()
    assert library.__getattr__("__tvm_ffi_scalar")(None, none, 0, none) == -1
    return library


def main(path):
    library = load_before_tvm_ffi(path)
    import tvm_ffi

    module = tvm_ffi.load_module(path)
    from_numpy = tvm_ffi.from_dlpack

    x = np.arange(600, dtype=np.float32).reshape(2, 300)
    for argument in (x, from_numpy(x)):
        y = np.from_dlpack(module.scale(argument))
        np.testing.assert_array_equal(y, 2 * x + np.float32(0.5))

    out = np.zeros_like(x)
    assert module.scale(x, out) is None
    np.testing.assert_array_equal(out, 2 * x + np.float32(0.5))

    assert int(np.from_dlpack(module.scalar(np.array(41, dtype=np.int64)))) == 42
    assert module.empty() is None

    flags = np.array([True, False, True])
    total, flipped = module.pair(flags)
    assert int(np.from_dlpack(total)) == 2
    np.testing.assert_array_equal(np.from_dlpack(flipped), ~flags)

    empty = np.from_dlpack(module.scale(np.zeros((0, 5), dtype=np.float32)))
    assert empty.shape == (0, 5)

    expect_error(ValueError, "input `x`: rank is 1, expected 2", module.scale, x[0])
    expect_error(ValueError, "dtype is float64, expected float32", module.scale, x.astype(np.float64))
    expect_error(ValueError, "strides are (1, 300), expected compact (2, 1)", module.scale,
                 from_numpy(x.T))
    expect_error(ValueError, "expected `n` = 3 (from `a` dimension 0)", module.add,
                 np.zeros(3, dtype=np.float32), np.zeros(2, dtype=np.float32))
    expect_error(TypeError, "the argument is int, expected a tensor", module.scalar, 41)
    expect_error(TypeError, "3 arguments given, expected 1 inputs", module.scale, x, x, x)

    for _ in range(2000):  # neither results nor errors leak
        module.pair(flags)
        module.scale(x)
    kept = module.scale(x)
    del module
    gc.collect()
    np.testing.assert_array_equal(np.from_dlpack(kept)[1], 2 * x[1] + np.float32(0.5))

    child = os.fork()
    if child == 0:
        again = tvm_ffi.load_module(path)
        good = np.array_equal(np.from_dlpack(again.scale(x)), 2 * x + np.float32(0.5))
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert library is not None
    print("tvm_ffi: all calls agree")


main(sys.argv[1])
