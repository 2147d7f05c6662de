// The second way into a model: the calling convention of TVM FFI, so that
// `tvm_ffi.load_module("model.so")` calls it from Python. Follows tvm/ffi/c_api.h of apache-tvm-ffi
// 0.1; nothing of libtvm_ffi is linked, it is looked up when a call needs it.
//
// Arguments are the inputs (then results are returned: one Tensor, an Array of several, or None of
// none), or the inputs followed by tensors for all outputs (then None is returned). Calls share one
// model with default options, made by the first call and ended when the library is unloaded.
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "tensor.h"

namespace repose::rt {
namespace {

// ---- The ABI of TVM FFI

enum TypeIndex : int32_t {
  kNone = 0,
  kInt = 1,
  kBool = 2,
  kFloat = 3,
  kOpaquePtr = 4,
  kDataType = 5,
  kDLTensorPtr = 7,
  kRawStr = 8,
  kSmallStr = 11,
  kStaticObjectBegin = 64,
  kStr = 65,
  kShape = 69,
  kTensor = 70,
  kArray = 71,
};

struct Any {
  int32_t type_index;
  uint32_t padding;
  union {
    int64_t integer;
    double number;
    void* pointer;
    DLDataType dtype;
  };
};
static_assert(sizeof(Any) == 16);

// What every object begins with; a Tensor's DLTensor follows.
struct ObjectHeader {
  uint64_t counts;
  int32_t type_index;
  uint32_t padding;
  void (*deleter)(void* self, int flags);
};
static_assert(sizeof(ObjectHeader) == 24);

struct ByteArray {
  const char* data;
  size_t size;
};

// What follows the headers of Shape and Error objects.
struct ShapeCell {
  const int64_t* data;
  size_t size;
};
struct ErrorCell {
  ByteArray kind, message;
};

using SetError = void(const char* kind, const char* message);
using TensorFromDLPack = int(DLManagedTensorVersioned* from, int32_t alignment, int32_t contiguous,
                             void** out);
using GetGlobal = int(const ByteArray* name, void** out);
using CallFunction = int(void* function, Any* args, int32_t num_args, Any* result);
using DecRef = int(void* object);
using TensorToDLPack = int(void* tensor, DLManagedTensorVersioned** out);
using MoveError = void(void** error);

// A path of a loaded libtvm_ffi, wherever the process has it.
int find_library(dl_phdr_info* info, size_t, void* path) {
  if (info->dlpi_name == nullptr || strstr(info->dlpi_name, "libtvm_ffi.so") == nullptr) return 0;
  *static_cast<const char**>(path) = info->dlpi_name;
  return 1;
}

// Python loads libtvm_ffi for all to see; a host that loaded it privately is found by its name.
void* find_symbol(const char* name) {
  void* found = dlsym(RTLD_DEFAULT, name);
  const char* path = nullptr;
  if (found != nullptr || dl_iterate_phdr(find_library, &path) == 0) return found;
  if (void* library = dlopen(path, RTLD_NOLOAD | RTLD_LAZY)) {
    found = dlsym(library, name);
    dlclose(library);  // the process keeps its own reference
  }
  return found;
}

// A function of libtvm_ffi, kept once it is found.
template <typename Function>
struct Import {
  const char* name;
  std::atomic<Function*> address{nullptr};

  // Null as long as the process has no libtvm_ffi.
  Function* get() {
    Function* function = address.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function*>(find_symbol(name));
      address.store(function, std::memory_order_relaxed);
    }
    return function;
  }
};

constinit Import<SetError> set_error{"TVMFFIErrorSetRaisedFromCStr"};
constinit Import<TensorFromDLPack> tensor_from_dlpack{"TVMFFITensorFromDLPackVersioned"};
constinit Import<GetGlobal> get_global{"TVMFFIFunctionGetGlobal"};
constinit Import<CallFunction> call_object{"TVMFFIFunctionCall"};
constinit Import<DecRef> dec_ref{"TVMFFIObjectDecRef"};
constinit Import<TensorToDLPack> tensor_to_dlpack{"TVMFFITensorToDLPackVersioned"};
constinit Import<MoveError> move_error{"TVMFFIErrorMoveFromRaised"};

// Raises an error. Where there is no libtvm_ffi, nobody could read it: the status alone tells.
int raise(const char* kind, const char* message) {
  if (SetError* set = set_error.get()) set(kind, message);
  return -1;
}

const char* error_kind(int32_t status) {
  switch (status) {
    case REPOSE_REFUSED:
    case REPOSE_INVALID_ARGUMENT:
      return "ValueError";
    case REPOSE_OUT_OF_MEMORY:
      return "MemoryError";
    case REPOSE_OVERFLOW:
      return "OverflowError";
    default:
      return "RuntimeError";
  }
}

// ---- The shared model

constinit std::atomic<Model*> shared_model{nullptr};
constinit std::atomic<int32_t> shared_model_maker{0};  // process that is making it

// The model of all calls by this convention; null with the text of why not.
Model* get_shared_model(int32_t* status, Text& error) {
  while (true) {
    if (Model* model = shared_model.load()) return model;
    const int32_t pid = getpid();
    int32_t maker = shared_model_maker.load();
    if (maker == pid) {
      sched_yield();  // another thread makes it
      continue;
    }
    // A maker of another process was left behind by a fork.
    if (!shared_model_maker.compare_exchange_strong(maker, pid)) continue;
    Model* model = shared_model.load();
    if (model == nullptr) {
      *status = create_model(nullptr, &model, error);
      shared_model.store(model);
    }
    shared_model_maker.store(0);
    return model;
  }
}

// Joins the shared model's threads before the code they run is unmapped. Where calls still run, the
// process is ending: they keep it.
__attribute__((destructor)) void end_shared_model() {
  Model* model = shared_model.load();
  if (model == nullptr) return;
  enter(*model);
  int32_t all = 0, busy = 0;
  model->contexts.count(&all, &busy);
  if (busy != 0) return;
  shared_model.store(nullptr);
  destroy_model(model);
}

// ---- Arguments and results

const char* type_name(int32_t type_index) {
  switch (type_index) {
    case kNone:
      return "None";
    case kInt:
      return "int";
    case kBool:
      return "bool";
    case kFloat:
      return "float";
    case kRawStr:
    case kSmallStr:
    case kStr:
      return "str";
    default:
      return nullptr;
  }
}

DLTensor* as_tensor(const Any& any) {
  if (any.type_index == kDLTensorPtr) return static_cast<DLTensor*>(any.pointer);
  if (any.type_index != kTensor) return nullptr;
  return reinterpret_cast<DLTensor*>(static_cast<ObjectHeader*>(any.pointer) + 1);
}

// Fills tensors[0 .. count); false with the text if one is no tensor.
bool read_tensors(const Any* args, const repose_rt_value* values, int32_t count, const char* what,
                  DLTensor** tensors, Text& error) {
  for (int32_t i = 0; i < count; ++i) {
    tensors[i] = as_tensor(args[i]);
    if (tensors[i] != nullptr) continue;
    error << what << " `" << values[i].name << "`: the argument is ";
    const char* name = type_name(args[i].type_index);
    if (name != nullptr) {
      error << name;
    } else {
      error << "of type index " << args[i].type_index;
    }
    error << ", expected a tensor";
    return false;
  }
  return true;
}

void delete_from(DLManagedTensorVersioned** results, int32_t begin, int32_t count) {
  for (int32_t i = begin; i < count; ++i) results[i]->deleter(results[i]);
}

void release_objects(Any* objects, int32_t count) {
  DecRef* release = dec_ref.get();
  for (int32_t i = 0; release != nullptr && i < count; ++i) release(objects[i].pointer);
}

// Turns results into Tensor objects, which own them. On failure (raised) nothing is left.
int wrap(DLManagedTensorVersioned** results, int32_t count, Any* objects) {
  TensorFromDLPack* from_dlpack = tensor_from_dlpack.get();
  for (int32_t i = 0; i < count; ++i) {
    objects[i] = {kTensor, 0, {0}};
    const int status = from_dlpack == nullptr
                           ? raise("RuntimeError", "libtvm_ffi has no tensors: give outputs")
                           : from_dlpack(results[i], 0, 0, &objects[i].pointer);
    if (status == 0) continue;
    delete_from(results, i, count);
    release_objects(objects, i);
    return status;
  }
  return 0;
}

// Calls a global function of TVM FFI by its name; raises where there is none.
int call_global(const char* name, Any* args, int32_t count, Any* result) {
  GetGlobal* get = get_global.get();
  CallFunction* call = call_object.get();
  const ByteArray key = {name, strlen(name)};
  void* object = nullptr;
  if (get == nullptr || call == nullptr) {
    return raise("RuntimeError", "libtvm_ffi has no global functions");
  }
  const int status = get(&key, &object);
  if (status != 0) return status;
  if (object == nullptr) return raise("RuntimeError", "libtvm_ffi lacks a global function");
  Any function = {0, 0, {0}};
  function.pointer = object;
  const int called = call(object, args, count, result);
  release_objects(&function, 1);
  return called;
}

// Makes an Array of objects, which keeps references of its own.
int make_array(Any* objects, int32_t count, Any* result) {
  return call_global("ffi.Array", objects, count, result);
}

int return_results(DLManagedTensorVersioned** results, int32_t count, Any* objects, Any* result) {
  if (count == 0) return 0;
  const int status = wrap(results, count, objects);
  if (status != 0) return status;
  if (count == 1) {
    *result = objects[0];
    return 0;
  }
  const int made = make_array(objects, count, result);
  release_objects(objects, count);
  return made;
}

// Room for the arguments of one call: on the stack unless there are many.
constexpr int32_t kFew = 32;

struct Room {
  DLTensor* tensors[kFew];
  DLManagedTensorVersioned* results[kFew];
  Any objects[kFew];
};

int call_with(Model& model, const repose_rt_function& function, const Any* args, bool given,
              DLTensor** tensors, DLManagedTensorVersioned** results, Any* objects, Any* result) {
  char text[kErrorBytes];
  Text error(text, sizeof text);
  const int32_t inputs = function.num_inputs, outputs = function.num_outputs;
  if (!read_tensors(args, function.inputs, inputs, "input", tensors, error) ||
      (given && !read_tensors(args + inputs, function.outputs, outputs, "output", tensors + inputs,
                              error))) {
    return raise("TypeError", text);
  }
  const int32_t status =
      call_function(model, function, tensors, given ? tensors + inputs : nullptr, results);
  if (status != REPOSE_OK) {
    const char* recorded = error_buffer(model);
    return raise(error_kind(status), recorded != nullptr ? recorded : "");
  }
  return given ? 0 : return_results(results, outputs, objects, result);
}

// ---- Global functions as packed functions -------------------------------------------------------

// Objects that arguments are made of, to be released after the call.
struct Made {
  Any* objects;
  int32_t count;
};

int make_argument(const repose_packed_value& value, Any& any, Made& made);

// An Array or a Shape of `count` values, at most kFewItems.
constexpr int32_t kFewItems = 64;

int make_list(const char* name, Any* items, int32_t count, Any& any, Made& made) {
  const int status = call_global(name, items, count, &any);
  if (status == 0) made.objects[made.count++] = any;
  return status;
}

int make_tuple(const repose_packed_value& value, Any& any, Made& made) {
  Any items[kFewItems];
  if (value.count > kFewItems) return raise("ValueError", "a tuple has more than 64 members");
  for (int32_t i = 0; i < value.count; ++i) {
    const int status = make_argument(value.as.items[i], items[i], made);
    if (status != 0) return status;
  }
  return make_list("ffi.Array", items, value.count, any, made);
}

int make_shape(const repose_packed_value& value, Any& any, Made& made) {
  Any items[kFewItems];
  if (value.count > kFewItems) return raise("ValueError", "a shape has more than 64 members");
  for (int32_t i = 0; i < value.count; ++i) items[i] = {kInt, 0, {value.as.dims[i]}};
  return make_list("ffi.Shape", items, value.count, any, made);
}

// A Tensor object over memory that is lent for the call. It has a shape of its own: an object that
// a function keeps can be let go of later, its elements are gone.
int make_tensor(const DLTensor& tensor, Any& any, Made& made) {
  TensorFromDLPack* from_dlpack = tensor_from_dlpack.get();
  if (from_dlpack == nullptr) return raise("RuntimeError", "libtvm_ffi has no tensors");
  const size_t rank = static_cast<size_t>(tensor.ndim);
  auto* lent = static_cast<DLManagedTensorVersioned*>(
      malloc(sizeof(DLManagedTensorVersioned) + 2 * rank * sizeof(int64_t)));
  if (lent == nullptr) return raise("MemoryError", "no memory for the arguments");
  *lent = {};
  lent->version = {1, 0};
  lent->deleter = reinterpret_cast<void (*)(DLManagedTensorVersioned*)>(free);
  lent->dl_tensor = tensor;
  lent->dl_tensor.shape = reinterpret_cast<int64_t*>(lent + 1);
  lent->dl_tensor.strides = lent->dl_tensor.shape + rank;
  int64_t compact = 1;
  for (size_t k = rank; k-- > 0;) {
    lent->dl_tensor.shape[k] = tensor.shape[k];
    lent->dl_tensor.strides[k] = tensor.strides != nullptr ? tensor.strides[k] : compact;
    compact *= tensor.shape[k];
  }
  any.type_index = kTensor;
  const int status = from_dlpack(lent, 0, 0, &any.pointer);
  if (status != 0) {
    free(lent);
    return status;
  }
  made.objects[made.count++] = any;
  return 0;
}

int make_argument(const repose_packed_value& value, Any& any, Made& made) {
  any = {kNone, 0, {0}};
  switch (value.kind) {
    case REPOSE_VALUE_INT:
    case REPOSE_VALUE_BOOL:
      any.type_index = value.kind == REPOSE_VALUE_INT ? kInt : kBool;
      any.integer = value.as.integer;
      return 0;
    case REPOSE_VALUE_FLOAT:
      any.type_index = kFloat;
      any.number = value.as.number;
      return 0;
    case REPOSE_VALUE_TENSOR:
      return make_tensor(*value.as.tensor, any, made);
    case REPOSE_VALUE_TEXT:
      any.type_index = kRawStr;
      any.pointer = const_cast<char*>(value.as.text);
      return 0;
    case REPOSE_VALUE_DTYPE:
      any.type_index = kDataType;
      any.dtype = value.as.dtype;
      return 0;
    case REPOSE_VALUE_SHAPE:
      return make_shape(value, any, made);
    case REPOSE_VALUE_TUPLE:
      return make_tuple(value, any, made);
    case REPOSE_VALUE_OBJECT:
      any.type_index = value.deleter == release_ffi_object
                           ? static_cast<ObjectHeader*>(value.as.object)->type_index
                           : static_cast<int32_t>(kOpaquePtr);
      any.pointer = value.as.object;
      return 0;
    default:
      return 0;
  }
}

int32_t count_objects(const repose_packed_value* values, int32_t count) {
  int32_t objects = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (values[i].kind == REPOSE_VALUE_SHAPE || values[i].kind == REPOSE_VALUE_TENSOR) ++objects;
    if (values[i].kind == REPOSE_VALUE_TUPLE) {
      objects += 1 + count_objects(values[i].as.items, values[i].count);
    }
  }
  return objects;
}

void release(const Any& any) {
  DecRef* dec = dec_ref.get();
  if (any.type_index >= kStaticObjectBegin && dec != nullptr) dec(any.pointer);
}

// Takes over `any`. False with the text.
bool give_result(const Any& any, repose_packed_value& result, Text& error) {
  if (any.type_index == kShape && result.kind == REPOSE_VALUE_SHAPE) {
    const auto* cell =
        reinterpret_cast<const ShapeCell*>(static_cast<ObjectHeader*>(any.pointer) + 1);
    const bool fits = cell->size == static_cast<size_t>(result.count);
    if (fits && result.count > 0) memcpy(result.as.dims, cell->data, cell->size * 8);
    if (!fits) {
      error << "a shape of " << static_cast<int64_t>(cell->size) << " members, expected "
            << result.count;
    }
    release(any);
    return fits;
  }
  result = {};
  switch (any.type_index) {
    case kNone:
      return true;
    case kInt:
    case kBool:
      result.kind = any.type_index == kInt ? REPOSE_VALUE_INT : REPOSE_VALUE_BOOL;
      result.as.integer = any.integer;
      return true;
    case kFloat:
      result.kind = REPOSE_VALUE_FLOAT;
      result.as.number = any.number;
      return true;
    case kTensor: {
      TensorToDLPack* to_dlpack = tensor_to_dlpack.get();
      const bool done = to_dlpack != nullptr && to_dlpack(any.pointer, &result.as.result) == 0;
      if (done) result.kind = REPOSE_VALUE_TENSOR;
      if (!done) error << "libtvm_ffi cannot give a tensor by DLPack";
      release(any);
      return done;
    }
    default:
      break;
  }
  if (any.type_index < kStaticObjectBegin) {
    error << "a value of type index " << any.type_index << ", which a model cannot hold";
    return false;
  }
  result.kind = REPOSE_VALUE_OBJECT;
  result.as.object = any.pointer;
  result.deleter = release_ffi_object;
  return true;
}

bool get_item(const Any& array, int64_t i, Any* item) {
  Any args[2] = {array, {kInt, 0, {i}}};
  *item = {kNone, 0, {0}};
  return call_global("ffi.ArrayGetItem", args, 2, item) == 0;
}

// The members of a tuple, those of tuples in it in their places. False with the text.
bool give_results(const Any& any, repose_packed_call& call, int32_t& next, Text& error) {
  if (any.type_index != kArray) {
    if (next < call.num_results) return give_result(any, call.results[next++], error);
    release(any);
    ++next;
    return true;
  }
  Any size = {kNone, 0, {0}}, whole = any;
  bool good = call_global("ffi.ArraySize", &whole, 1, &size) == 0;
  for (int64_t i = 0; good && i < size.integer; ++i) {
    Any item;
    good = get_item(any, i, &item) && give_results(item, call, next, error);
  }
  release(any);
  return good;
}

// The text of the error that a function has raised.
void take_error(Text& out) {
  MoveError* move = move_error.get();
  void* object = nullptr;
  if (move != nullptr) move(&object);
  if (object == nullptr) {
    out << "it failed and said nothing";
    return;
  }
  const auto* cell = reinterpret_cast<const ErrorCell*>(static_cast<ObjectHeader*>(object) + 1);
  out.append(cell->kind.data, cell->kind.size) << ": ";
  out.append(cell->message.data, cell->message.size);
  release_ffi_object(object);
}

bool take_results(const Any& any, repose_packed_call& call, Text& error) {
  if (call.num_results == 0 || (call.num_results == 1 && any.type_index != kArray)) {
    if (call.num_results == 1) return give_result(any, call.results[0], error);
    release(any);
    return true;
  }
  int32_t given = 0;
  if (!give_results(any, call, given, error)) return false;
  if (given == call.num_results) return true;
  error << given << " results, expected " << call.num_results;
  return false;
}

}  // namespace

void* find_ffi_function(const char* name) {
  GetGlobal* get = get_global.get();
  const ByteArray key = {name, strlen(name)};
  void* object = nullptr;
  if (get == nullptr || get(&key, &object) != 0) return nullptr;
  return object;
}

void release_ffi_object(void* object) {
  if (DecRef* release = dec_ref.get()) release(object);
}

int32_t call_ffi_function(void* function, repose_packed_call* call) {
  Text error(call->error, call->error_bytes);
  const int32_t num_objects = count_objects(call->arguments, call->num_arguments);
  const int32_t room = call->num_arguments + num_objects;
  auto* memory = static_cast<Any*>(malloc((static_cast<size_t>(room) + 1) * sizeof(Any)));
  if (memory == nullptr) {
    error << "there is no memory for its arguments";
    return -1;
  }
  Made made = {memory + call->num_arguments, 0};
  int status = 0;
  for (int32_t i = 0; status == 0 && i < call->num_arguments; ++i) {
    status = make_argument(call->arguments[i], memory[i], made);
  }
  Any result = {kNone, 0, {0}};
  CallFunction* call_it = call_object.get();
  if (status == 0) status = call_it(function, memory, call->num_arguments, &result);
  if (status != 0) {
    take_error(error);
  } else if (!take_results(result, *call, error)) {
    status = -1;
  }
  release_objects(made.objects, made.count);
  free(memory);
  return status;
}

}  // namespace repose::rt

using namespace repose::rt;

int repose_rt_tvm_ffi_call(int32_t index, const void* args, int32_t num_args, void* result) {
  auto* returned = static_cast<Any*>(result);
  *returned = {kNone, 0, {0}};
  char text[kErrorBytes];
  Text error(text, sizeof text);
  int32_t status = REPOSE_OK;
  Model* model = get_shared_model(&status, error);
  if (model == nullptr) return raise(error_kind(status), text);
  enter(*model);
  const repose_rt_function& function = model->code->functions[index];
  const int32_t inputs = function.num_inputs, outputs = function.num_outputs;
  const bool given = outputs > 0 && num_args == inputs + outputs;
  if (!given && num_args != inputs) {
    error << "`" << function.name << "`: " << num_args << " arguments given, expected " << inputs
          << " inputs, or these and " << outputs << " outputs";
    return raise("TypeError", text);
  }
  const auto* values = static_cast<const Any*>(args);
  const int32_t most = inputs + outputs;
  if (most <= kFew) {
    Room room;
    return call_with(*model, function, values, given, room.tensors, room.results, room.objects,
                     returned);
  }
  const auto count = static_cast<size_t>(most);
  auto* tensors = static_cast<DLTensor**>(malloc(count * sizeof(DLTensor*)));
  auto* results =
      static_cast<DLManagedTensorVersioned**>(malloc(count * sizeof(DLManagedTensorVersioned*)));
  auto* objects = static_cast<Any*>(malloc(count * sizeof(Any)));
  const bool have = tensors != nullptr && results != nullptr && objects != nullptr;
  const int returns =
      have ? call_with(*model, function, values, given, tensors, results, objects, returned)
           : raise("MemoryError", "there is no memory for the arguments");
  free(tensors);
  free(results);
  free(objects);
  return returns;
}
