"""The C interface of compiled models (include/repose/repose.h) over ctypes and numpy.

    model = Model("minilm.so", num_threads=2)
    model.arena_bytes({"batch": 1, "seq": 128})
    outputs = model({"input_ids": ids, "attention_mask": mask})     # a list, in output order
"""
import ctypes
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p

from dlpack import DLDataType, DLManagedTensorVersioned, DLTensor, copy_of, packed, to_dl_tensor

API_VERSION = 1
Results = POINTER(DLManagedTensorVersioned)


class Refused(Exception):
    """A call that the model refused; `status` is the repose_status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Allocator(ctypes.Structure):
    _fields_ = [("user", c_void_p), ("allocate", c_void_p), ("deallocate", c_void_p)]


class ThreadPool(ctypes.Structure):
    _fields_ = [
        ("user", c_void_p),
        ("parallel_for", c_void_p),
        ("num_threads", c_int32),
        ("reserved", c_int32),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("num_threads", c_int32),
        ("spin_microseconds", c_int32),
        ("max_contexts", c_int32),
        ("when_busy", c_int32),
        ("reserved", c_int32),
        ("memory_limit_bytes", c_int64),
        ("allocator", Allocator),
        ("thread_pool", ThreadPool),
        ("operations_limit", c_int64),
    ]


class Info(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("num_functions", c_int32),
        ("name", c_char_p),
        ("cpu", c_char_p),
        ("metadata_json", c_char_p),
        ("metadata_bytes", c_int64),
        ("weights_bytes", c_int64),
        ("num_threads", c_int32),
        ("reserved", c_int32),
    ]


class Function(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("num_inputs", c_int32),
        ("num_outputs", c_int32),
        ("num_symbols", c_int32),
        ("name", c_char_p),
    ]


class Dim(ctypes.Structure):
    _fields_ = [("size", c_int64), ("text", c_char_p)]


class Value(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("rank", c_int32),
        ("name", c_char_p),
        ("dtype", DLDataType),
        ("aliases_input", c_int32),
        ("dims", POINTER(Dim)),
        ("strides", POINTER(c_int64)),
    ]


class Symbol(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_int32),
        ("name", c_char_p),
        ("lower", c_int64),
        ("upper", c_int64),
        ("divisor", c_int64),
    ]


def _function(*arguments, result=c_int32):
    return ctypes.CFUNCTYPE(result, *arguments)


class Api(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("version", c_uint32),
        ("create", _function(POINTER(Options), POINTER(c_void_p), c_char_p, c_size_t)),
        ("destroy", _function(c_void_p, result=None)),
        ("last_error", _function(c_void_p, result=c_char_p)),
        ("get_info", _function(c_void_p, POINTER(Info))),
        ("get_usage", c_void_p),
        ("find_function", _function(c_void_p, c_char_p)),
        ("get_function", _function(c_void_p, c_int32, POINTER(Function))),
        ("get_input", _function(c_void_p, c_int32, c_int32, POINTER(Value))),
        ("get_output", _function(c_void_p, c_int32, c_int32, POINTER(Value))),
        ("get_symbol", _function(c_void_p, c_int32, c_int32, POINTER(Symbol))),
        (
            "memory_needed",
            _function(
                c_void_p, c_int32, POINTER(c_int64), c_int32, POINTER(c_int64), POINTER(c_int64)
            ),
        ),
        (
            "call",
            _function(
                c_void_p,
                c_int32,
                POINTER(POINTER(DLTensor)),
                c_int32,
                POINTER(POINTER(DLTensor)),
                c_int32,
                POINTER(Results),
            ),
        ),
        ("trim", _function(c_void_p, POINTER(c_int64))),
        ("get_thread_pool", c_void_p),
    ]


class Model:
    """A loaded model, and its function `function`."""

    def __init__(self, path, num_threads=0, function="main"):
        self._handle = c_void_p()
        self._library = ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
        self._api = Api.in_dll(self._library, "repose_api_v1")
        if self._api.version != API_VERSION or self._api.struct_size < ctypes.sizeof(Api):
            raise Refused(6, f"{path}: another interface version")
        options = Options(struct_size=ctypes.sizeof(Options), num_threads=num_threads)
        text = ctypes.create_string_buffer(1024)
        status = self._api.create(byref(options), byref(self._handle), text, len(text))
        if status != 0:
            raise Refused(status, text.value.decode())
        self._index = self._api.find_function(self._handle, function.encode())
        if self._index < 0:
            raise Refused(4, f"{path}: no function `{function}`")
        counts = Function(struct_size=ctypes.sizeof(Function))
        self._check(self._api.get_function(self._handle, self._index, byref(counts)))
        self.inputs = self._values(self._api.get_input, counts.num_inputs)
        self.outputs = self._values(self._api.get_output, counts.num_outputs)
        self.symbols = [self._symbol(i) for i in range(counts.num_symbols)]

    def close(self):
        """Unloads the model."""
        if self._handle:
            self._api.destroy(self._handle)
            self._handle = c_void_p()
            ctypes.CDLL(None).dlclose(c_void_p(self._library._handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _check(self, status):
        if status != 0:
            raise Refused(status, self._api.last_error(self._handle).decode())

    def _values(self, query, count):
        """[(name, [dimension as text])]"""
        found = []
        for i in range(count):
            value = Value(struct_size=ctypes.sizeof(Value))
            self._check(query(self._handle, self._index, i, byref(value)))
            dims = [value.dims[axis].text.decode() for axis in range(value.rank)]
            found.append((value.name.decode(), dims))
        return found

    def _symbol(self, i):
        symbol = Symbol(struct_size=ctypes.sizeof(Symbol))
        self._check(self._api.get_symbol(self._handle, self._index, i, byref(symbol)))
        return symbol.name.decode()

    def info(self):
        """{"name", "cpu", "weights_bytes", "num_threads", …}"""
        info = Info(struct_size=ctypes.sizeof(Info))
        self._check(self._api.get_info(self._handle, byref(info)))
        return {name: getattr(info, name) for name, _ in Info._fields_}

    def arena_bytes(self, symbols):
        """The bytes of arena that a call takes where the symbols have these values."""
        return self.memory_query(symbols)()

    def prepared(self, feeds, outputs):
        """A function without arguments that calls with these arrays, and does nothing else in Python."""
        if isinstance(feeds, dict):
            feeds = [feeds[name] for name, _ in self.inputs]
        memory = [[packed(array) for array in list] for list in (feeds, outputs)]
        tensors = [to_dl_tensor(*pair) for pair in zip(feeds, memory[0])]
        given = [to_dl_tensor(*pair) for pair in zip(outputs, memory[1])]
        arguments = (self._handle, self._index, _pointers(tensors), len(tensors), _pointers(given),
                     len(given), None)
        kept = (memory, tensors, given)

        def call(function=self._api.call, arguments=arguments, kept=kept):
            self._check(function(*arguments))

        return call

    def memory_query(self, symbols):
        """A function without arguments that asks for the bytes of the arena."""
        values = (c_int64 * max(1, len(self.symbols)))(*(symbols[name] for name in self.symbols))
        needed = c_int64()
        arguments = (self._handle, self._index, values, len(self.symbols), byref(needed), None)

        def query(function=self._api.memory_needed, arguments=arguments):
            self._check(function(*arguments))
            return needed.value

        return query

    def __call__(self, feeds, outputs=None):
        """Calls with numpy arrays: a mapping from input names, or a list in input order. Gives the
        outputs as a list; with `outputs` (arrays that receive them), that list."""
        if isinstance(feeds, dict):
            feeds = [feeds[name] for name, _ in self.inputs]
        memory = [packed(array) for array in [*feeds, *(outputs or [])]]  # lives as long as the call
        tensors = [to_dl_tensor(*pair) for pair in zip(feeds, memory)]
        inputs = _pointers(tensors)
        count = len(self.outputs)
        results = (Results * max(1, count))()
        given = [to_dl_tensor(*pair) for pair in zip(outputs or [], memory[len(feeds):])]
        status = self._api.call(
            self._handle,
            self._index,
            inputs,
            len(tensors),
            _pointers(given) if outputs else None,
            count,
            results,
        )
        self._check(status)
        if outputs:
            return outputs
        arrays = [copy_of(results[i].contents.dl_tensor) for i in range(count)]
        for i in range(count):
            results[i].contents.deleter(results[i])
        return arrays


def _pointers(tensors):
    return (POINTER(DLTensor) * max(1, len(tensors)))(*(ctypes.pointer(t) for t in tensors))
