"""DLPack tensors over ctypes: numpy arrays of every dtype, the ones of ml_dtypes included, as the
DLTensor structs that a compiled model takes, and back."""
import ctypes
import math

import ml_dtypes
import numpy as np

CPU = 1

# numpy dtype → DLPack (code, bits); ml_dtypes' names are those of DLPack.
CODES = {np.dtype(f"int{bits}"): (0, bits) for bits in (8, 16, 32, 64)}
CODES |= {np.dtype(f"uint{bits}"): (1, bits) for bits in (8, 16, 32, 64)}
CODES |= {np.dtype(f"float{bits}"): (2, bits) for bits in (16, 32, 64)}
CODES |= {np.dtype(f"complex{bits}"): (5, bits) for bits in (64, 128)}
CODES |= {np.dtype(bool): (6, 8), np.dtype(ml_dtypes.bfloat16): (4, 16)}
CODES |= {
    np.dtype(getattr(ml_dtypes, f"float8_{kind}")): (code, 8)
    for code, kind in enumerate(
        ["e3m4", "e4m3", "e4m3b11fnuz", "e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"], 7
    )
}
CODES |= {
    np.dtype(getattr(ml_dtypes, name)): code
    for name, code in {
        "int2": (0, 2), "int4": (0, 4), "uint2": (1, 2), "uint4": (1, 4), "float4_e2m1fn": (17, 4)
    }.items()
}  # fmt: skip
DTYPES = {code: dtype for dtype, code in CODES.items()}


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", DLDevice),
        ("ndim", ctypes.c_int32),
        ("dtype", DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class DLManagedTensor(ctypes.Structure):
    """The form that a Python capsule named "dltensor" holds."""


DLManagedTensor._fields_ = [
    ("dl_tensor", DLTensor),
    ("manager_ctx", ctypes.c_void_p),
    ("deleter", ctypes.CFUNCTYPE(None, ctypes.POINTER(DLManagedTensor))),
]


class DLManagedTensorVersioned(ctypes.Structure):
    """The form that a compiled model returns."""


DLManagedTensorVersioned._fields_ = [
    ("major", ctypes.c_uint32),
    ("minor", ctypes.c_uint32),
    ("manager_ctx", ctypes.c_void_p),
    ("deleter", ctypes.CFUNCTYPE(None, ctypes.POINTER(DLManagedTensorVersioned))),
    ("flags", ctypes.c_uint64),
    ("dl_tensor", DLTensor),
]


def packed(array):
    """The elements of a type of less than 8 bits as DLPack has them: several in a byte, the first
    in its lowest bits. numpy gives each a byte. Other arrays as they are."""
    bits = CODES[array.dtype][1]
    if bits >= 8:
        return array
    elements = np.ascontiguousarray(array).view(np.uint8).reshape(-1) & (2**bits - 1)
    elements = np.pad(elements, (0, -elements.size % (8 // bits))).reshape(-1, 8 // bits)
    return np.bitwise_or.reduce(elements << np.arange(0, 8, bits, dtype=np.uint8), axis=1)


def unpacked(data, shape, dtype):
    """The inverse, from an address."""
    bits, count = CODES[dtype][1], math.prod(shape)
    data = np.frombuffer((ctypes.c_uint8 * -(-count * bits // 8)).from_address(data), np.uint8)
    elements = data[:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
    if dtype.name.startswith("int"):  # the sign is extended
        elements = (elements ^ 1 << bits - 1) - (1 << bits - 1)
    return elements.astype(np.uint8).reshape(-1)[:count].view(dtype).reshape(shape)


def to_dl_tensor(array, memory):
    """A DLTensor over `memory`, which is packed(array) and must outlive it. Strides are passed on
    unless the array is compact."""
    code, bits = CODES[array.dtype]
    ints = ctypes.c_int64 * max(array.ndim, 1)
    strides = None
    if not array.flags.c_contiguous and bits >= 8:
        strides = ints(*(s // array.itemsize for s in array.strides))
    return DLTensor(
        data=memory.ctypes.data,
        device=DLDevice(CPU, 0),
        ndim=array.ndim,
        dtype=DLDataType(code, bits, 1),
        shape=ints(*array.shape),
        strides=strides,
        byte_offset=0,
    )


def copy_of(dl):
    """A numpy array with the elements of a DLTensor."""
    dtype = DTYPES[dl.dtype.code, dl.dtype.bits]
    shape = tuple(dl.shape[i] for i in range(dl.ndim))
    if 0 in shape:
        return np.empty(shape, dtype)
    if dl.dtype.bits < 8:
        return unpacked(dl.data + dl.byte_offset, shape, dtype)
    if dl.strides:
        strides = tuple(dl.strides[i] * dtype.itemsize for i in range(dl.ndim))
    else:
        strides = np.empty(shape, np.void(dtype.itemsize).dtype).strides if shape else ()
    span = dtype.itemsize + sum((n - 1) * s for n, s in zip(shape, strides))
    memory = (ctypes.c_char * span).from_address(dl.data + dl.byte_offset)
    return np.ndarray(shape, dtype, memory, strides=strides).copy()


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Exported:
    """A numpy array of any dtype with the DLPack protocol, for `tvm_ffi` (numpy itself exports
    neither bfloat16 nor read-only arrays)."""

    _alive = {}  # address of a handed-out DLManagedTensor → what it refers to

    def __init__(self, array):
        self.array = np.asarray(array)

    def __dlpack_device__(self):
        return (CPU, 0)

    def __dlpack__(self, **_):
        memory = packed(self.array)
        tensor = to_dl_tensor(self.array, memory)
        managed = DLManagedTensor(dl_tensor=tensor, deleter=Exported._delete)
        address = ctypes.addressof(managed)
        Exported._alive[address] = (managed, memory)
        return _new_capsule(address, b"dltensor", None)

    @staticmethod
    @ctypes.CFUNCTYPE(None, ctypes.POINTER(DLManagedTensor))
    def _delete(managed):
        Exported._alive.pop(ctypes.addressof(managed.contents), None)


def imported(tensor):
    """A numpy array with the elements of an object that has the DLPack protocol."""
    capsule = tensor.__dlpack__()
    address = _capsule_pointer(capsule, b"dltensor")
    return copy_of(DLManagedTensor.from_address(address).dl_tensor)
