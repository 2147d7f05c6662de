// Calls of packed functions: builds what a function gets of pushed values, and keeps what it gives.
#include "packed_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "tensor.h"

namespace repose::rt {
namespace {

constexpr int64_t kChunkBytes = 4096;
constexpr size_t kPrintBytes = 8192;  // of one text; longer ones are cut

// Room for one more; null: there is no memory.
template <typename T>
T* add(List<T>& list) {
  if (list.count == list.room) {
    const int32_t room = list.room == 0 ? 16 : 2 * list.room;
    auto* items = static_cast<T*>(realloc(list.items, static_cast<size_t>(room) * sizeof(T)));
    if (items == nullptr) return nullptr;
    list.items = items;
    list.room = room;
  }
  T* item = &list.items[list.count++];
  *item = {};
  return item;
}

int32_t out_of_memory(Frame& frame) {
  fail_text(frame) << "there is no memory for the arguments of a packed function";
  return REPOSE_RT_OUT_OF_MEMORY;
}

PackedState& state_of(Frame& frame) {
  return frame.call->context->packed;
}

// The state for a value that is to be pushed: what the last call was given is over.
PackedState& pushing(Frame& frame) {
  PackedState& state = state_of(frame);
  if (state.is_over) state.pile.clear();
  state.is_over = false;
  return state;
}

repose_packed_value& held_at(Frame& frame, int64_t held) {
  return frame.call->context->held[held];
}

// One more argument; null: there is no memory, which is recorded.
repose_packed_value* push(Frame& frame, repose_value_kind kind) {
  repose_packed_value* value = add(pushing(frame).arguments);
  if (value == nullptr) {
    out_of_memory(frame);
    return nullptr;
  }
  value->kind = kind;
  return value;
}

int32_t push_integer(Frame& frame, repose_value_kind kind, int64_t integer) {
  repose_packed_value* value = push(frame, kind);
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  value->as.integer = integer;
  return REPOSE_RT_OK;
}

// Moves the pushed dimensions to the pile, with as many entries behind them; null: no memory.
int64_t* take_dims(PackedState& state, int64_t rank) {
  auto* dims = static_cast<int64_t*>(state.pile.take(2 * rank * 8));
  if (dims != nullptr && rank > 0) memcpy(dims, state.dims.items, static_cast<size_t>(rank) * 8);
  state.dims.count = 0;
  return dims;
}

void write_compact_strides(const int64_t* dims, int64_t rank, int64_t* strides) {
  int64_t next = 1;
  for (int64_t k = rank - 1; k >= 0; --k) {
    strides[k] = next;
    if (dims[k] > 1) next *= dims[k];  // a tensor that exists: it fits
  }
}

void end_value(repose_packed_value& value) {
  if (value.kind == REPOSE_VALUE_TENSOR && value.as.result != nullptr &&
      value.as.result->deleter != nullptr) {
    value.as.result->deleter(value.as.result);
  }
  if (value.kind == REPOSE_VALUE_OBJECT && value.deleter != nullptr) {
    value.deleter(value.as.object);
  }
  value = {};
}

bool is_holdable(int32_t kind) {
  return kind == REPOSE_VALUE_NONE || kind == REPOSE_VALUE_INT || kind == REPOSE_VALUE_FLOAT ||
         kind == REPOSE_VALUE_BOOL || kind == REPOSE_VALUE_TENSOR || kind == REPOSE_VALUE_OBJECT;
}

// Whether a function gave what can be kept: false with the text.
bool check_result(const repose_packed_call& call, int32_t i, bool wants_shape, Text& error) {
  const repose_packed_value& result = call.results[i];
  if (result.kind == REPOSE_VALUE_SHAPE && wants_shape) return true;
  if (!is_holdable(result.kind)) {
    error << "`" << call.name << "`: result " << i << " is of kind " << result.kind
          << ", expected a tensor, a number, an object or nothing";
    return false;
  }
  if (result.kind != REPOSE_VALUE_TENSOR) return true;
  const DLManagedTensorVersioned* tensor = result.as.result;
  const char* missing = tensor == nullptr                    ? "tensor"
                        : tensor->dl_tensor.ndim < 0         ? "rank"
                        : tensor->dl_tensor.ndim > kMaxRank  ? "rank"
                        : tensor->dl_tensor.shape == nullptr ? "shape"
                                                             : nullptr;
  if (missing == nullptr || (tensor != nullptr && tensor->dl_tensor.ndim == 0)) return true;
  error << "`" << call.name << "`: result " << i << " is a tensor without a " << missing;
  return false;
}

// Calls the function with what was pushed.
int32_t call_resolved(Frame& frame, const PackedFunction& function, repose_packed_call& call) {
  char text[kErrorBytes];
  text[0] = 0;
  call.error = text;
  call.error_bytes = sizeof text;
  if (function.function(function.user, &call) == 0) return REPOSE_RT_OK;
  text[sizeof text - 1] = 0;
  fail_text(frame) << "`" << call.name
                   << "`: " << (text[0] != 0 ? text : "it failed and said nothing");
  return REPOSE_PACKED_FAILED;
}

// What a function gave goes to the places from `held` on; it is the model's, after a failure too.
int32_t keep_results(Frame& frame, const repose_packed_call& call, int32_t status, int64_t held) {
  for (int32_t i = 0; i < call.num_results; ++i) {
    repose_packed_value& result = call.results[i];
    const bool is_shape = state_of(frame).shapes.items[i];
    end_value(held_at(frame, held + i));
    if (status == REPOSE_RT_OK) {
      Text error = fail_text(frame);
      if (!check_result(call, i, is_shape, error)) status = REPOSE_PACKED_FAILED;
    }
    if (is_holdable(result.kind) || result.kind == REPOSE_VALUE_SHAPE) {
      held_at(frame, held + i) = result;
    }
  }
  return status;
}

// The arguments of the next call begin.
void finish_pushed(PackedState& state) {
  state.arguments.count = 0;
  state.results.count = 0;
  state.shapes.count = 0;
  state.is_over = true;
}

// Fills values in for {} and {0}, {1}, … as the interpreter does.
void fill_in(Text& out, const char* format, const List<repose_packed_value>& values) {
  int32_t next = 0;
  for (const char* at = format; *at != 0; ++at) {
    if (*at == '{') {
      const char* close = at + 1;
      int32_t number = 0;
      while (*close >= '0' && *close <= '9' && close - at < 3)
        number = number * 10 + *close++ - '0';
      if (*close == '}') {
        const int32_t i = close == at + 1 ? next++ : number;
        if (i < values.count) {
          write_value(out, values.items[i]);
        } else {
          out.append(at, static_cast<size_t>(close - at) + 1);
        }
        at = close;
        continue;
      }
    }
    out.append(at, 1);
  }
}

void write_pushed(Text& out, const char* format, const List<repose_packed_value>& values) {
  if (format[0] != 0) return fill_in(out, format, values);
  for (int32_t i = 0; i < values.count; ++i) {
    if (i > 0) out << " ";
    write_value(out, values.items[i]);
  }
}

int32_t refuse_kind(Frame& frame, const repose_packed_value& value, const char* name,
                    const char* type) {
  Text error = fail_text(frame);
  error << name << " is ";
  repose_packed_value seen = value;
  if (seen.kind == REPOSE_VALUE_TENSOR) seen.as.tensor = &value.as.result->dl_tensor;
  write_value(error, seen);
  error << ", expected `" << type << "`";
  return REPOSE_RT_REFUSED;
}

bool is_compact(const DLTensor& tensor) {
  if (tensor.strides == nullptr) return true;
  int64_t next = 1;
  for (int32_t k = tensor.ndim - 1; k >= 0; --k) {
    if (tensor.shape[k] != 1 && tensor.strides[k] != next) return false;
    next *= tensor.shape[k];
  }
  return true;
}

// Elements of whole bytes, in row-major order, wherever the strides put them.
void copy_strided(const DLTensor& tensor, uint8_t* to, int64_t count) {
  const int64_t bytes = tensor.dtype.bits / 8;
  int64_t at[kMaxRank] = {};
  const auto* from = static_cast<const uint8_t*>(first_element(tensor));
  for (int64_t i = 0; i < count; ++i) {
    memcpy(to, from, static_cast<size_t>(bytes));
    to += bytes;
    for (int32_t k = tensor.ndim - 1; k >= 0; --k) {
      from += tensor.strides[k] * bytes;
      if (++at[k] < tensor.shape[k]) break;
      from -= tensor.strides[k] * bytes * tensor.shape[k];
      at[k] = 0;
    }
  }
}

// ---- Finding functions

const repose_packed_entry* find_entry(const repose_options& options, const char* name) {
  for (int32_t i = 0; i < options.num_packed_functions; ++i) {
    const repose_packed_entry& entry = options.packed_functions[i];
    if (entry.function != nullptr && entry.name != nullptr && strcmp(entry.name, name) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

// Stands for one that is missing, where the options allow that.
int32_t refuse_call(void*, repose_packed_call* call) {
  Text(call->error, call->error_bytes) << "nothing provided it when the model was loaded";
  return -1;
}

PackedFunction find_function(const repose_options& options, const char* name) {
  if (const repose_packed_entry* entry = find_entry(options, name)) {
    return {entry->function, entry->user, false};
  }
  void* object = find_ffi_function(name);
  if (object == nullptr && options.allow_missing_functions != 0) {
    return {refuse_call, nullptr, false};
  }
  if (object == nullptr) return {};
  return {call_ffi_function, object, true};
}

}  // namespace

// ---- State

void* Pile::take(int64_t bytes) {
  bytes = (bytes + 7) / 8 * 8;
  while (current_ != nullptr && current_->bytes - current_->used < bytes &&
         current_->next != nullptr) {
    current_ = current_->next;
    current_->used = 0;
  }
  if (current_ == nullptr || current_->bytes - current_->used < bytes) {
    const int64_t room = bytes > kChunkBytes ? bytes : kChunkBytes;
    auto* chunk = static_cast<Chunk*>(malloc(sizeof(Chunk) + static_cast<size_t>(room)));
    if (chunk == nullptr) return nullptr;
    *chunk = {nullptr, room, 0};
    (current_ != nullptr ? current_->next : first_) = chunk;
    current_ = chunk;
  }
  void* piece = reinterpret_cast<uint8_t*>(current_ + 1) + current_->used;
  current_->used += bytes;
  return piece;
}

void Pile::clear() {
  current_ = first_;
  if (current_ != nullptr) current_->used = 0;
}

void Pile::free_all() {
  while (first_ != nullptr) {
    Chunk* next = first_->next;
    free(first_);
    first_ = next;
  }
  current_ = nullptr;
}

void end_packed(PackedState& state, repose_packed_value* held, int32_t num_held) {
  for (int32_t i = 0; i < num_held; ++i) end_value(held[i]);
  state.arguments.count = 0;
  state.results.count = 0;
  state.dims.count = 0;
  state.shapes.count = 0;
  state.is_over = true;
}

void delete_packed(PackedState& state) {
  free(state.arguments.items);
  free(state.results.items);
  free(state.dims.items);
  free(state.shapes.items);
  state.pile.free_all();
}

bool find_packed_functions(const char* const* names, int32_t count, const repose_options& options,
                           PackedFunction** found, int32_t* status, Text& error) {
  *found = nullptr;
  if (count == 0) return true;
  auto* functions =
      static_cast<PackedFunction*>(calloc(static_cast<size_t>(count), sizeof(PackedFunction)));
  if (functions == nullptr) {
    error << "there is no memory for the model's state";
    *status = REPOSE_OUT_OF_MEMORY;
    return false;
  }
  int32_t missing = 0;
  for (int32_t i = 0; i < count; ++i) {
    functions[i] = find_function(options, names[i]);
    if (functions[i].function != nullptr) continue;
    error << (missing++ == 0 ? "the model calls packed functions that nothing provides: `" : ", `")
          << names[i] << "`";
  }
  if (missing == 0) {
    *found = functions;
    return true;
  }
  error << " (looked for in the options, among those of repose_register, and among the global "
           "functions of TVM FFI)";
  release_packed_functions(functions, count);
  *status = REPOSE_CANNOT_LOAD;
  return false;
}

void release_packed_functions(PackedFunction* functions, int32_t count) {
  for (int32_t i = 0; functions != nullptr && i < count; ++i) {
    if (functions[i].is_ffi) release_ffi_object(functions[i].user);
  }
  free(functions);
}

}  // namespace repose::rt

using namespace repose::rt;

// ---- Arguments

int32_t repose_rt_push_dim(repose_rt_frame* opaque, int64_t size) {
  Frame& frame = as_frame(opaque);
  int64_t* dim = add(pushing(frame).dims);
  if (dim == nullptr) return out_of_memory(frame);
  *dim = size;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_tensor(repose_rt_frame* opaque, void* data, int64_t dtype_code,
                              int64_t dtype_bits, int64_t rank) {
  Frame& frame = as_frame(opaque);
  PackedState& state = pushing(frame);
  int64_t* dims = take_dims(state, rank);
  auto* tensor = static_cast<DLTensor*>(state.pile.take(sizeof(DLTensor)));
  repose_packed_value* value =
      dims != nullptr && tensor != nullptr ? push(frame, REPOSE_VALUE_TENSOR) : nullptr;
  if (value == nullptr) return out_of_memory(frame);
  write_compact_strides(dims, rank, dims + rank);
  *tensor = {data,
             {kDLCPU, 0},
             static_cast<int32_t>(rank),
             {static_cast<uint8_t>(dtype_code), static_cast<uint8_t>(dtype_bits), 1},
             dims,
             dims + rank,
             0};
  value->as.tensor = tensor;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_shape(repose_rt_frame* opaque, int64_t rank) {
  Frame& frame = as_frame(opaque);
  int64_t* dims = take_dims(pushing(frame), rank);
  repose_packed_value* value = dims != nullptr ? push(frame, REPOSE_VALUE_SHAPE) : nullptr;
  if (value == nullptr) return out_of_memory(frame);
  value->count = static_cast<int32_t>(rank);
  value->as.dims = dims;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_int(repose_rt_frame* frame, int64_t integer) {
  return push_integer(as_frame(frame), REPOSE_VALUE_INT, integer);
}

int32_t repose_rt_push_bool(repose_rt_frame* frame, int64_t integer) {
  return push_integer(as_frame(frame), REPOSE_VALUE_BOOL, integer);
}

int32_t repose_rt_push_float(repose_rt_frame* frame, double number) {
  repose_packed_value* value = push(as_frame(frame), REPOSE_VALUE_FLOAT);
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  value->as.number = number;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_text(repose_rt_frame* frame, const char* text) {
  repose_packed_value* value = push(as_frame(frame), REPOSE_VALUE_TEXT);
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  value->count = static_cast<int32_t>(strlen(text));
  value->as.text = text;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_dtype(repose_rt_frame* frame, int64_t dtype_code, int64_t dtype_bits) {
  repose_packed_value* value = push(as_frame(frame), REPOSE_VALUE_DTYPE);
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  value->as.dtype = {static_cast<uint8_t>(dtype_code), static_cast<uint8_t>(dtype_bits), 1};
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_none(repose_rt_frame* frame) {
  return push_integer(as_frame(frame), REPOSE_VALUE_NONE, 0);
}

int32_t repose_rt_push_tuple(repose_rt_frame* opaque, int64_t count) {
  Frame& frame = as_frame(opaque);
  PackedState& state = pushing(frame);
  const size_t bytes = static_cast<size_t>(count) * sizeof(repose_packed_value);
  auto* items = static_cast<repose_packed_value*>(state.pile.take(static_cast<int64_t>(bytes)));
  if (items == nullptr) return out_of_memory(frame);
  state.arguments.count -= static_cast<int32_t>(count);
  if (count > 0) memcpy(items, state.arguments.items + state.arguments.count, bytes);
  repose_packed_value* value = push(frame, REPOSE_VALUE_TUPLE);
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  value->count = static_cast<int32_t>(count);
  value->as.items = items;
  return REPOSE_RT_OK;
}

int32_t repose_rt_push_held(repose_rt_frame* opaque, int64_t held) {
  Frame& frame = as_frame(opaque);
  const repose_packed_value& from = held_at(frame, held);
  auto* value = push(frame, static_cast<repose_value_kind>(from.kind));
  if (value == nullptr) return REPOSE_RT_OUT_OF_MEMORY;
  *value = from;
  if (from.kind != REPOSE_VALUE_TENSOR) return REPOSE_RT_OK;
  // A tensor with strides, as all arguments have.
  DLTensor& own = from.as.result->dl_tensor;
  value->as.tensor = &own;
  if (own.strides != nullptr || own.ndim == 0) return REPOSE_RT_OK;
  PackedState& state = pushing(frame);
  auto* tensor = static_cast<DLTensor*>(state.pile.take(sizeof(DLTensor)));
  auto* strides = static_cast<int64_t*>(state.pile.take(int64_t{own.ndim} * 8));
  if (tensor == nullptr || strides == nullptr) return out_of_memory(frame);
  write_compact_strides(own.shape, own.ndim, strides);
  *tensor = own;
  tensor->strides = strides;
  value->as.tensor = tensor;
  return REPOSE_RT_OK;
}

int32_t repose_rt_may_write(repose_rt_frame* frame) {
  const List<repose_packed_value>& arguments = state_of(as_frame(frame)).arguments;
  arguments.items[arguments.count - 1].count = 1;
  return REPOSE_RT_OK;
}

int32_t repose_rt_expect(repose_rt_frame* opaque, int64_t kind, int64_t count) {
  Frame& frame = as_frame(opaque);
  PackedState& state = pushing(frame);
  repose_packed_value* result = add(state.results);
  bool* is_shape = add(state.shapes);
  if (result == nullptr || is_shape == nullptr) return out_of_memory(frame);
  *is_shape = kind == REPOSE_VALUE_SHAPE;
  result->kind = static_cast<int32_t>(kind);
  if (kind != REPOSE_VALUE_SHAPE) return REPOSE_RT_OK;
  result->count = static_cast<int32_t>(count);
  result->as.dims = static_cast<int64_t*>(state.pile.take(count * 8));
  if (result->as.dims == nullptr) return out_of_memory(frame);
  memset(result->as.dims, 0, static_cast<size_t>(count) * 8);
  return REPOSE_RT_OK;
}

// ---- Calls

int32_t repose_rt_call_packed(repose_rt_frame* opaque, int64_t number, int64_t num_written,
                              int64_t held) {
  Frame& frame = as_frame(opaque);
  Model& model = frame.call->model;
  PackedState& state = pushing(frame);
  repose_packed_call call{};
  call.struct_size = sizeof call;
  call.num_arguments = state.arguments.count;
  call.arguments = state.arguments.items;
  call.num_written = static_cast<int32_t>(num_written);
  call.num_results = state.results.count;
  call.results = state.results.items;
  call.name = model.code->packed_functions[number];
  int32_t status = call_resolved(frame, model.packed_functions[number], call);
  status = keep_results(frame, call, status, held);
  finish_pushed(state);
  return status;
}

int32_t repose_rt_print(repose_rt_frame* opaque, const char* format) {
  Frame& frame = as_frame(opaque);
  PackedState& state = pushing(frame);
  const Model& model = frame.call->model;
  char buffer[kPrintBytes];
  Text text(buffer, sizeof buffer);
  write_pushed(text, format, state.arguments);
  finish_pushed(state);
  if (model.print != nullptr) {
    model.print(model.print_user, buffer);
  } else {
    puts(buffer);
  }
  return REPOSE_RT_OK;
}

int32_t repose_rt_refuse(repose_rt_frame* opaque, const char* format) {
  Frame& frame = as_frame(opaque);
  PackedState& state = pushing(frame);
  Text error = fail_text(frame);
  if (format[0] != 0) {
    fill_in(error, format, state.arguments);
  } else {
    error << "an assertion fails";
  }
  finish_pushed(state);
  return REPOSE_RT_REFUSED;
}

// ---- Results

int32_t repose_rt_check_tensor(repose_rt_frame* opaque, int64_t held, int64_t dtype_code,
                               int64_t dtype_bits, int64_t rank, const char* name,
                               const char* type) {
  Frame& frame = as_frame(opaque);
  const repose_packed_value& value = held_at(frame, held);
  if (value.kind != REPOSE_VALUE_TENSOR) return refuse_kind(frame, value, name, type);
  const DLTensor& tensor = value.as.result->dl_tensor;
  const DLDataType expected = {static_cast<uint8_t>(dtype_code), static_cast<uint8_t>(dtype_bits),
                               1};
  Text error = fail_text(frame);
  if (tensor.ndim != rank) {
    error << name << " has rank " << tensor.ndim << ", expected " << rank;
  } else if (tensor.dtype.code != expected.code || tensor.dtype.bits != expected.bits ||
             tensor.dtype.lanes != 1) {
    error << name << " has dtype ";
    write_dtype(error, tensor.dtype);
    error << ", expected ";
    write_dtype(error, expected);
  } else if (tensor.device.device_type != kDLCPU) {
    error << name << " is on device ";
    write_device(error, tensor.device);
    error << ", expected cpu";
  } else {
    for (int32_t k = 0; k < tensor.ndim; ++k) {
      if (tensor.shape[k] >= 0) continue;
      error << name << ": dimension " << k << " is " << tensor.shape[k] << ", expected at least 0";
      return REPOSE_RT_REFUSED;
    }
    return REPOSE_RT_OK;
  }
  return REPOSE_RT_REFUSED;
}

int32_t repose_rt_check_shape(repose_rt_frame* opaque, int64_t held, int64_t rank, const char* name,
                              const char* type) {
  Frame& frame = as_frame(opaque);
  const repose_packed_value& value = held_at(frame, held);
  if (value.kind != REPOSE_VALUE_SHAPE) return refuse_kind(frame, value, name, type);
  if (value.count == rank) return REPOSE_RT_OK;
  fail_text(frame) << name << " has " << value.count << " members, expected " << rank;
  return REPOSE_RT_REFUSED;
}

int32_t repose_rt_check_number(repose_rt_frame* opaque, int64_t held, int64_t dtype_code,
                               int64_t dtype_bits, const char* name, const char* type) {
  Frame& frame = as_frame(opaque);
  const repose_packed_value& value = held_at(frame, held);
  const bool is_float = dtype_code == kDLFloat || dtype_code == kDLBfloat;
  const int32_t wanted = dtype_code == kDLBool ? REPOSE_VALUE_BOOL
                         : is_float            ? REPOSE_VALUE_FLOAT
                                               : REPOSE_VALUE_INT;
  if (value.kind != wanted) return refuse_kind(frame, value, name, type);
  const int64_t integer = value.as.integer;
  bool fits = dtype_code == kDLUInt ? integer >= 0 : true;
  if (dtype_bits < 64 && dtype_code == kDLUInt) fits = fits && integer >> dtype_bits == 0;
  if (dtype_bits < 64 && dtype_code == kDLInt) {
    fits = integer >> (dtype_bits - 1) == 0 || integer >> (dtype_bits - 1) == -1;
  }
  return fits ? REPOSE_RT_OK : refuse_kind(frame, value, name, type);
}

int64_t repose_rt_held_dim(repose_rt_frame* opaque, int64_t held, int64_t axis) {
  const repose_packed_value& value = held_at(as_frame(opaque), held);
  return value.kind == REPOSE_VALUE_TENSOR ? value.as.result->dl_tensor.shape[axis]
                                           : value.as.dims[axis];
}

int64_t repose_rt_held_int(repose_rt_frame* opaque, int64_t held) {
  return held_at(as_frame(opaque), held).as.integer;
}

int32_t repose_rt_copy_held(repose_rt_frame* opaque, int64_t held, void* to) {
  Frame& frame = as_frame(opaque);
  const DLTensor& tensor = held_at(frame, held).as.result->dl_tensor;
  int64_t count = 1;
  for (int32_t k = 0; k < tensor.ndim; ++k) {
    if (tensor.shape[k] == 0) return REPOSE_RT_OK;
    count *= tensor.shape[k];  // its size was computed, with checks for overflow
  }
  if (tensor.data == nullptr) {
    fail_text(frame) << "a packed function gave a tensor whose data is null";
    return REPOSE_PACKED_FAILED;
  }
  const int64_t bits = tensor.dtype.bits;
  if (is_compact(tensor)) {
    memmove(to, first_element(tensor), static_cast<size_t>((count * bits + 7) / 8));
  } else if (bits < 8) {
    fail_text(frame) << "a packed function gave a tensor of elements of " << bits
                     << " bits whose strides are not compact";
    return REPOSE_PACKED_FAILED;
  } else {
    copy_strided(tensor, static_cast<uint8_t*>(to), count);
  }
  return REPOSE_RT_OK;
}

int32_t repose_rt_drop_held(repose_rt_frame* opaque, int64_t held) {
  end_value(held_at(as_frame(opaque), held));
  return REPOSE_RT_OK;
}
