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
  kDLTensorPtr = 7,
  kRawStr = 8,
  kSmallStr = 11,
  kStr = 65,
  kTensor = 70,
  kArray = 71,
};

struct Any {
  int32_t type_index;
  uint32_t padding;
  union {
    int64_t integer;
    void* pointer;
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

using SetError = void(const char* kind, const char* message);
using TensorFromDLPack = int(DLManagedTensorVersioned* from, int32_t alignment, int32_t contiguous,
                             void** out);
using GetGlobal = int(const ByteArray* name, void** out);
using CallFunction = int(void* function, Any* args, int32_t num_args, Any* result);
using DecRef = int(void* object);

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

// Makes an Array of objects, which keeps references of its own.
int make_array(Any* objects, int32_t count, Any* result) {
  GetGlobal* get = get_global.get();
  CallFunction* call = call_object.get();
  const ByteArray name = {"ffi.Array", 9};
  void* array = nullptr;
  if (get == nullptr || call == nullptr) {
    return raise("RuntimeError", "libtvm_ffi has no arrays: give outputs");
  }
  const int status = get(&name, &array);
  if (status != 0) return status;
  if (array == nullptr) return raise("RuntimeError", "libtvm_ffi has no `ffi.Array`");
  Any function = {0, 0, {0}};
  function.pointer = array;
  const int called = call(array, objects, count, result);
  release_objects(&function, 1);
  return called;
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

}  // namespace
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
