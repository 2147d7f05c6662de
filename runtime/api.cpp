// Models: making and ending them, queries, and the table that a compiled model exports.
#include <stdlib.h>
#include <string.h>

#include <new>

#include "cpu.h"
#include "model.h"
#include "tensor.h"
#include "threads.h"

namespace repose::rt {
namespace {

constexpr int32_t kDefaultContexts = 8;
constexpr int32_t kMaxThreads = 4096;

static_assert(sizeof(repose_dim) == sizeof(repose_rt_dim) &&
              offsetof(repose_dim, text) == offsetof(repose_rt_dim, text));
static_assert(REPOSE_OK == static_cast<int>(REPOSE_RT_OK) &&
              REPOSE_REFUSED == static_cast<int>(REPOSE_RT_REFUSED) &&
              REPOSE_OUT_OF_MEMORY == static_cast<int>(REPOSE_RT_OUT_OF_MEMORY) &&
              REPOSE_OVERFLOW == static_cast<int>(REPOSE_RT_OVERFLOW));

// ---- Options

// Copies what the caller's header knows; the rest is default. A field that this runtime does not
// know must be zero.
bool read_options(const repose_options* given, repose_options& options, Text& error) {
  options = {};
  if (given == nullptr) return true;
  const size_t size = given->struct_size;
  if (size < sizeof(uint32_t)) {
    error << "options have no struct_size: start from repose_default_options()";
    return false;
  }
  memcpy(&options, given, size < sizeof options ? size : sizeof options);
  const auto* bytes = reinterpret_cast<const uint8_t*>(given);
  for (size_t i = sizeof options; i < size; ++i) {
    if (bytes[i] == 0) continue;
    error << "options ask for something that the model's runtime does not know";
    return false;
  }
  return true;
}

bool check_options(const repose_options& options, Text& error) {
  if (options.num_threads < 0 || options.num_threads > kMaxThreads) {
    error << "option num_threads is " << options.num_threads << ", expected 0 to " << kMaxThreads;
  } else if (options.spin_microseconds < -1) {
    error << "option spin_microseconds is " << options.spin_microseconds
          << ", expected at least -1";
  } else if (options.max_contexts < 0) {
    error << "option max_contexts is " << options.max_contexts << ", expected at least 0";
  } else if (options.when_busy < REPOSE_BUSY_WAIT || options.when_busy > REPOSE_BUSY_FAIL) {
    error << "option when_busy is " << options.when_busy << ", expected 0, 1 or 2";
  } else if (options.memory_limit_bytes < 0) {
    error << "option memory_limit_bytes is " << options.memory_limit_bytes
          << ", expected at least 0";
  } else if (options.operations_limit < 0) {
    error << "option operations_limit is " << options.operations_limit << ", expected at least 0";
  } else if ((options.allocator.allocate == nullptr) != (options.allocator.deallocate == nullptr)) {
    error << "option allocator has one of its two functions, expected both or none";
  } else if (options.thread_pool.parallel_for != nullptr && options.thread_pool.num_threads < 1) {
    error << "option thread_pool has " << options.thread_pool.num_threads
          << " threads, expected at least 1";
  } else if (options.num_packed_functions < 0 ||
             (options.packed_functions == nullptr && options.num_packed_functions > 0)) {
    error << "option num_packed_functions is " << options.num_packed_functions
          << ", expected as many as packed_functions has";
  } else {
    return true;
  }
  return false;
}

// ---- The generated tables

bool has_ranks(const repose_rt_value* values, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    if (values[i].rank < 0 || values[i].rank > kMaxRank) return false;
  }
  return true;
}

bool check_code(const repose_rt_model& code, Text& error) {
  bool good = code.struct_size >= sizeof code && code.abi_version == REPOSE_RT_ABI_VERSION;
  for (int32_t i = 0; good && i < code.num_functions; ++i) {
    const repose_rt_function& function = code.functions[i];
    good = has_ranks(function.inputs, function.num_inputs) &&
           has_ranks(function.outputs, function.num_outputs);
  }
  if (!good) error << "the model's code and its runtime do not fit together";
  return good;
}

ContextLimits context_limits(const repose_rt_model& code, const repose_options& options) {
  ContextLimits limits{options.max_contexts > 0 ? options.max_contexts : kDefaultContexts,
                       static_cast<repose_when_busy>(options.when_busy),
                       0,
                       0,
                       0,
                       0,
                       0};
  for (int32_t i = 0; i < code.num_functions; ++i) {
    const repose_rt_function& function = code.functions[i];
    if (function.num_inputs > limits.max_inputs) limits.max_inputs = function.num_inputs;
    if (function.num_outputs > limits.max_outputs) limits.max_outputs = function.num_outputs;
    if (function.num_regions > limits.max_regions) limits.max_regions = function.num_regions;
    if (function.num_held > limits.max_held) limits.max_held = function.num_held;
    int32_t layouts = 0;
    for (int32_t k = 0; k < function.num_inputs; ++k) {
      const repose_rt_value& input = function.inputs[k];
      if (has_stride_expressions(input)) layouts += 2 * input.rank;
    }
    if (layouts > limits.max_layouts) limits.max_layouts = layouts;
  }
  return limits;
}

bool set_threads(Model& model, const repose_options& options) {
  model.threads = options.thread_pool;
  if (model.threads.parallel_for != nullptr) return true;
  const int32_t threads = options.num_threads > 0 ? options.num_threads : default_num_threads();
  model.pool = make_pool(threads, options.spin_microseconds);
  if (model.pool == nullptr) return false;
  model.threads = {model.pool, pool_parallel_for, threads, 0};
  return true;
}

}  // namespace

int32_t create_model(const repose_options* given, Model** model, Text& error) {
  *model = nullptr;
  const repose_rt_model& code = repose_rt_this_model;
  repose_options options;
  if (!read_options(given, options, error) || !check_options(options, error)) {
    return REPOSE_INVALID_ARGUMENT;
  }
  if (!check_code(code, error)) return REPOSE_INTERNAL;
  if (const char* feature = missing_cpu_feature(code.cpu_features)) {
    error << "the model `" << code.name << "` was compiled for " << code.cpu
          << ", and this processor or system lacks `" << feature << "`";
    return REPOSE_UNSUPPORTED_CPU;
  }
  PackedFunction* packed = nullptr;
  int32_t status = REPOSE_OK;
  if (!find_packed_functions(code.packed_functions, code.num_packed_functions, options, &packed,
                             &status, error)) {
    return status;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, alignof(Model), sizeof(Model)) == 0) {
    auto* made = new (memory) Model(options, context_limits(code, options));
    made->packed_functions = packed;
    made->api = &repose_rt_api;
    made->library_file = -1;
    made->code = &code;
    if (set_threads(*made, options)) {
      *model = made;
      return REPOSE_OK;
    }
    free(made);
  }
  release_packed_functions(packed, code.num_packed_functions);
  error << "there is no memory for the model's state";
  return REPOSE_OUT_OF_MEMORY;
}

void destroy_model(Model* model) {
  enter(*model);
  if (model->pool != nullptr) delete_pool(model->pool);
  model->contexts.destroy(model->budget);
  release_packed_functions(model->packed_functions, model->code->num_packed_functions);
  while (model->errors != nullptr) {
    ThreadError* next = model->errors->next;
    free(model->errors);
    model->errors = next;
  }
  free(model);
}

void enter(Model& model) {
  model.owner.enter([&] {
    model.errors_lock.reset();
    model.contexts.forget_calls(model.budget);
  });
}

char* error_buffer(Model& model) {
  const Hold hold(model.errors_lock);
  for (ThreadError* error = model.errors; error != nullptr; error = error->next) {
    if (pthread_equal(error->thread, pthread_self())) return error->text;
  }
  auto* error = static_cast<ThreadError*>(malloc(sizeof(ThreadError)));
  if (error == nullptr) return nullptr;
  error->thread = pthread_self();
  error->text[0] = 0;
  error->next = model.errors;
  model.errors = error;
  return error->text;
}

int32_t record_error(Model& model, int32_t status, const char* text) {
  if (char* buffer = error_buffer(model)) Text(buffer, kErrorBytes) << text;
  return status;
}

namespace {

// ---- Queries

// Gives the caller as much of `info` as its header knows.
template <typename Info>
int32_t give(Info* to, Info info) {
  info.struct_size = to->struct_size;
  memcpy(to, &info, info.struct_size < sizeof info ? info.struct_size : sizeof info);
  return REPOSE_OK;
}

int32_t fail(Model& model, const char* text) {
  return record_error(model, REPOSE_INVALID_ARGUMENT, text);
}

// The function of that number, or null with the error recorded.
const repose_rt_function* find(Model& model, int32_t function) {
  enter(model);
  if (function >= 0 && function < model.code->num_functions) {
    return &model.code->functions[function];
  }
  char text[kErrorBytes];
  Text(text, sizeof text) << "there is no function " << function << ": the model has "
                          << model.code->num_functions;
  fail(model, text);
  return nullptr;
}

int32_t fail_index(Model& model, const char* what, int32_t i, int32_t count) {
  char text[kErrorBytes];
  Text(text, sizeof text) << "there is no " << what << " " << i << ": the function has " << count;
  return fail(model, text);
}

int32_t fail_count(Model& model, const char* what, int32_t seen, int32_t expected) {
  char text[kErrorBytes];
  Text(text, sizeof text) << seen << " " << what << " given, expected " << expected;
  return fail(model, text);
}

int32_t api_create(const repose_options* options, repose_model** model, char* error,
                   size_t error_bytes) {
  char none[1];
  const bool wanted = error != nullptr && error_bytes > 0;
  Text text(wanted ? error : none, wanted ? error_bytes : 1);
  Model* made = nullptr;
  const int32_t status = create_model(options, &made, text);
  *model = made;
  return status;
}

void api_destroy(repose_model* model) {
  destroy_model(as_model(model));
}

const char* api_last_error(const repose_model* model) {
  // The list of texts is state behind the model, not part of what a const model promises.
  Model& mutable_model = *as_model(const_cast<repose_model*>(model));
  enter(mutable_model);
  const char* text = error_buffer(mutable_model);
  return text == nullptr ? "" : text;
}

int32_t api_get_info(repose_model* opaque, repose_info* info) {
  const Model& model = *as_model(opaque);
  const repose_rt_model& code = *model.code;
  return give(info, {0, code.num_functions, code.name, code.cpu, code.metadata, code.metadata_bytes,
                     code.weights_bytes, model.threads.num_threads, 0});
}

int32_t api_get_usage(repose_model* opaque, repose_usage* usage) {
  Model& model = *as_model(opaque);
  enter(model);
  repose_usage now{};
  model.contexts.count(&now.num_contexts, &now.num_busy);
  now.num_workers = model.pool != nullptr ? pool_num_workers(model.pool) : 0;
  now.context_bytes = model.budget.used.load();
  return give(usage, now);
}

int32_t api_find_function(const repose_model* opaque, const char* name) {
  const repose_rt_model& code = *static_cast<const Model*>(opaque)->code;
  for (int32_t i = 0; name != nullptr && i < code.num_functions; ++i) {
    if (strcmp(code.functions[i].name, name) == 0) return i;
  }
  return -1;
}

int32_t api_get_function(repose_model* model, int32_t function, repose_function* info) {
  const repose_rt_function* f = find(*as_model(model), function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  return give(info, {0, f->num_inputs, f->num_outputs, f->num_symbols, f->name});
}

int32_t give_value(repose_value* to, const repose_rt_value& value) {
  return give(to, {0,
                   value.rank,
                   value.name,
                   {value.dtype_code, value.dtype_bits, 1},
                   value.aliases_input,
                   reinterpret_cast<const repose_dim*>(value.dims),
                   value.strides});
}

int32_t api_get_input(repose_model* model, int32_t function, int32_t i, repose_value* value) {
  const repose_rt_function* f = find(*as_model(model), function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  if (i < 0 || i >= f->num_inputs) return fail_index(*as_model(model), "input", i, f->num_inputs);
  return give_value(value, f->inputs[i]);
}

int32_t api_get_output(repose_model* model, int32_t function, int32_t i, repose_value* value) {
  const repose_rt_function* f = find(*as_model(model), function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  if (i < 0 || i >= f->num_outputs) {
    return fail_index(*as_model(model), "output", i, f->num_outputs);
  }
  return give_value(value, f->outputs[i]);
}

int32_t api_get_symbol(repose_model* model, int32_t function, int32_t i, repose_symbol* symbol) {
  const repose_rt_function* f = find(*as_model(model), function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  if (i < 0 || i >= f->num_symbols) {
    return fail_index(*as_model(model), "symbol", i, f->num_symbols);
  }
  const repose_rt_symbol& s = f->symbols[i];
  return give(symbol, {0, 0, s.name, s.lower, s.upper, s.divisor});
}

int32_t api_memory_needed(repose_model* opaque, int32_t function, const int64_t* symbols,
                          int32_t num_symbols, int64_t* arena_bytes, int64_t* output_dims) {
  Model& model = *as_model(opaque);
  const repose_rt_function* f = find(model, function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  if (num_symbols != f->num_symbols)
    return fail_count(model, "symbols", num_symbols, f->num_symbols);
  if (arena_bytes == nullptr || (symbols == nullptr && num_symbols > 0)) {
    return fail(model, "symbols or arena_bytes is null");
  }
  return compute_sizes(model, *f, symbols, arena_bytes, output_dims);
}

int32_t api_call(repose_model* opaque, int32_t function, const DLTensor* const* inputs,
                 int32_t num_inputs, DLTensor* const* outputs, int32_t num_outputs,
                 DLManagedTensorVersioned** results) {
  Model& model = *as_model(opaque);
  const repose_rt_function* f = find(model, function);
  if (f == nullptr) return REPOSE_INVALID_ARGUMENT;
  if (num_inputs != f->num_inputs) return fail_count(model, "inputs", num_inputs, f->num_inputs);
  if (num_outputs != f->num_outputs) {
    return fail_count(model, "outputs", num_outputs, f->num_outputs);
  }
  if (inputs == nullptr && num_inputs > 0) return fail(model, "inputs is null");
  bool all_given = outputs != nullptr || num_outputs == 0;
  for (int32_t i = 0; all_given && i < num_outputs; ++i) all_given = outputs[i] != nullptr;
  if (!all_given && results == nullptr) {
    return fail(model, "results is null, and not every output tensor is given");
  }
  return call_function(model, *f, inputs, outputs, results);
}

int32_t api_trim(repose_model* opaque, int64_t* freed_bytes) {
  Model& model = *as_model(opaque);
  enter(model);
  const int64_t freed = model.contexts.trim(model.budget);
  if (freed_bytes != nullptr) *freed_bytes = freed;
  return REPOSE_OK;
}

int32_t api_get_thread_pool(repose_model* model, repose_thread_pool* pool) {
  *pool = as_model(model)->threads;
  return REPOSE_OK;
}

int32_t api_set_profile(repose_model* opaque, repose_profile* profile) {
  Model& model = *as_model(opaque);
  if (model.code->is_profiled == 0) {
    return fail(model, "the model was compiled without profiling");
  }
  if (profile != nullptr &&
      (profile->struct_size < sizeof(repose_profile) || profile->max_runs < 0 ||
       (profile->runs == nullptr && profile->max_runs > 0))) {
    return fail(model, "the profile has no struct_size, or no room for as many runs as it says");
  }
  model.profile.store(profile);
  return REPOSE_OK;
}

}  // namespace
}  // namespace repose::rt

// The table, by a name that no other library can put its own behind.
extern "C" {
extern constinit const repose_api repose_rt_api = {
    sizeof(repose_api),
    REPOSE_API_VERSION,
    repose::rt::api_create,
    repose::rt::api_destroy,
    repose::rt::api_last_error,
    repose::rt::api_get_info,
    repose::rt::api_get_usage,
    repose::rt::api_find_function,
    repose::rt::api_get_function,
    repose::rt::api_get_input,
    repose::rt::api_get_output,
    repose::rt::api_get_symbol,
    repose::rt::api_memory_needed,
    repose::rt::api_call,
    repose::rt::api_trim,
    repose::rt::api_get_thread_pool,
    repose::rt::api_set_profile,
};

// The one symbol of the C interface.
extern const repose_api repose_api_v1
    __attribute__((alias("repose_rt_api"), visibility("default")));
}
