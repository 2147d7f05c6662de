// A call: checks the tensors, takes a context, runs the generated function; and what generated code
// calls meanwhile (abi.h).
//
// A parallel loop is handed to the pool as one task for each thread that may work on it. Each task
// takes the pieces of a range of the loop in their order, so that what one has brought into a
// thread's caches, or asked for, serves the next; then the last ones of other ranges. Each task has
// a frame of its own, so that a failure, a workspace and "we are inside a parallel loop" belong to
// it without any thread-local state: task i has workspace i, on whatever thread it runs.
#include <string.h>

#include "call.h"
#include "tensor.h"

namespace repose::rt {
namespace {

Frame make_frame(Call& call, Failure& failure) {
  failure.text[0] = 0;
  Frame frame{};
  if (call.context != nullptr) {
    frame.input_data = call.context->arguments.input_data;
    frame.input_shape = call.context->arguments.input_shape;
  }
  frame.weights = call.model.code->weights;
  frame.num_threads = call.model.threads.num_threads;
  frame.call = &call;
  frame.failure = &failure;
  return frame;
}

// Gives `block` at least `bytes`, if need be at the expense of idle contexts, and of what this one
// keeps from earlier calls.
bool provide(Frame& frame, Block& block, int64_t bytes) {
  Model& model = frame.call->model;
  Shortage shortage = fill_block(model.budget, block, bytes);
  if (shortage != Shortage::kNone) {
    const int64_t freed = model.contexts.free_unused(model.budget, *frame.call->context) +
                          model.contexts.trim(model.budget);
    if (freed > 0) shortage = fill_block(model.budget, block, bytes);
  }
  if (shortage == Shortage::kNone) return true;
  Text error = fail_text(frame);
  error << "there is no memory for the arena of " << bytes << " bytes";
  if (shortage == Shortage::kLimit) {
    error << ": " << model.budget.used.load() << " of the limit of " << model.budget.limit
          << " bytes are in use";
  }
  return false;
}

// ---- Parallel loops

// Pieces of a loop that nobody has taken yet: from the lower half of the word to the upper one.
class Range {
 public:
  void set(int64_t begin, int64_t end) {
    word_.store(static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(begin),
                std::memory_order_relaxed);
  }
  // The first, or the last piece; -1: there are none.
  int64_t take(bool last) {
    uint64_t seen = word_.load(std::memory_order_relaxed);
    while (true) {
      const uint64_t begin = seen & UINT32_MAX, end = seen >> 32;
      if (begin >= end) return -1;
      const uint64_t rest = last ? seen - (uint64_t{1} << 32) : seen + 1;
      if (word_.compare_exchange_weak(seen, rest, std::memory_order_relaxed)) {
        return static_cast<int64_t>(last ? end - 1 : begin);
      }
    }
  }

 private:
  alignas(64) std::atomic<uint64_t> word_{0};
};

constexpr int32_t kMaxRanges = 32;    // more tasks share them
constexpr int32_t kPiecesOfTask = 8;  // even out threads that start late or are slow

struct Loop {
  const Frame& outer;
  repose_rt_body body;
  void* closure;
  int64_t extent, piece;  // iterations in all, of each piece but the last
  uint8_t* workspaces;
  int64_t workspace_bytes;  // of each task
  Range ranges[kMaxRanges]{};
  int32_t num_ranges = 0;
  // Pieces behind one that failed don't matter any more.
  std::atomic<int64_t> first_failed{INT64_MAX};
  Lock lock{};  // of what follows
  int32_t status = REPOSE_RT_OK;
};

// Keeps the failure of the piece with the smallest begin.
void merge_failure(Loop& loop, int64_t piece, int32_t status, const Failure& failure) {
  const Hold hold(loop.lock);
  if (piece >= loop.first_failed.load()) return;
  loop.first_failed.store(piece);
  loop.status = status;
  memcpy(loop.outer.failure->text, failure.text, kErrorBytes);
}

void run_piece(Loop& loop, Frame& frame, int64_t piece) {
  if (piece >= loop.first_failed.load()) return;
  const int64_t begin = piece * loop.piece;
  const int64_t end = loop.extent - begin < loop.piece ? loop.extent : begin + loop.piece;
  const int32_t status = loop.body(&frame, loop.closure, begin, end);
  if (status != REPOSE_RT_OK) merge_failure(loop, piece, status, *frame.failure);
}

// One task. Every piece is taken, so that those before one that failed run.
void run_pieces(void* opaque, int32_t task) {
  Loop& loop = *static_cast<Loop*>(opaque);
  Failure failure;
  failure.text[0] = 0;
  Frame frame = loop.outer;
  frame.failure = &failure;
  frame.workspace = loop.workspaces + task * loop.workspace_bytes;
  frame.in_parallel = true;
  const int32_t own = task % loop.num_ranges;
  for (int32_t i = 0; i < loop.num_ranges; ++i) {
    Range& range = loop.ranges[(own + i) % loop.num_ranges];
    for (int64_t piece = range.take(i > 0); piece >= 0; piece = range.take(i > 0)) {
      run_piece(loop, frame, piece);
    }
  }
}

// A range for each task, of almost the same number of pieces.
void divide(int64_t pieces, int64_t tasks, Loop& loop) {
  loop.num_ranges = static_cast<int32_t>(tasks < kMaxRanges ? tasks : kMaxRanges);
  for (int32_t i = 0; i < loop.num_ranges; ++i) {
    loop.ranges[i].set(pieces * i / loop.num_ranges, pieces * (i + 1) / loop.num_ranges);
  }
}

int32_t run_serially(const Frame& outer, repose_rt_body body, void* closure, int64_t extent,
                     void* workspace) {
  Frame frame = outer;
  frame.workspace = workspace;
  return body(&frame, closure, 0, extent);
}

// ---- Checks of a call

// Whether output i may begin where input j begins.
bool may_reuse(const repose_rt_function& function, int32_t i, int32_t j, ByteRange output,
               ByteRange input) {
  return function.outputs[i].aliases_input == j && output.begin == input.begin;
}

// The range of a tensor that was checked before.
ByteRange range_of(const repose_rt_value& value, const DLTensor& tensor) {
  int64_t strides[kMaxRank];
  int64_t bytes = 0;
  required_strides(value, tensor.shape, &tensor, strides, &bytes);
  if (bytes == 0) return {0, 0};
  const auto first = reinterpret_cast<uintptr_t>(first_element(tensor));
  return {first, first + static_cast<uint64_t>(bytes)};
}

int32_t check_overlaps(const repose_rt_function& function, const DLTensor* const* inputs,
                       DLTensor* const* outputs, int32_t i, ByteRange range, Text& error) {
  const char* name = function.outputs[i].name;
  for (int32_t j = 0; j < function.num_inputs; ++j) {
    const ByteRange input = range_of(function.inputs[j], *inputs[j]);
    if (!overlap(range, input) || may_reuse(function, i, j, range, input)) continue;
    error << "output `" << name << "`: its memory overlaps input `" << function.inputs[j].name
          << "`";
    return REPOSE_REFUSED;
  }
  for (int32_t j = 0; j < i; ++j) {
    if (outputs[j] == nullptr) continue;
    if (!overlap(range, range_of(function.outputs[j], *outputs[j]))) continue;
    error << "output `" << name << "`: its memory overlaps output `" << function.outputs[j].name
          << "`";
    return REPOSE_REFUSED;
  }
  return REPOSE_OK;
}

int32_t check_arguments(const repose_rt_function& function, const DLTensor* const* inputs,
                        DLTensor* const* outputs, Text& error) {
  ByteRange range;
  for (int32_t i = 0; i < function.num_inputs; ++i) {
    const int32_t status = check_tensor("input", function.inputs[i], inputs[i], &range, error);
    if (status != REPOSE_OK) return status;
  }
  for (int32_t i = 0; outputs != nullptr && i < function.num_outputs; ++i) {
    if (outputs[i] == nullptr) continue;
    int32_t status = check_tensor("output", function.outputs[i], outputs[i], &range, error);
    if (status == REPOSE_OK) {
      status = check_overlaps(function, inputs, outputs, i, range, error);
    }
    if (status != REPOSE_OK) return status;
  }
  return REPOSE_OK;
}

void fill_arguments(Arguments& arguments, const repose_rt_function& function,
                    const DLTensor* const* inputs) {
  int64_t* layout = arguments.layouts;
  for (int32_t i = 0; i < function.num_inputs; ++i) {
    arguments.input_data[i] = first_element(*inputs[i]);
    arguments.input_shape[i] = inputs[i]->shape;
    const repose_rt_value& value = function.inputs[i];
    if (!has_stride_expressions(value)) continue;
    for (int32_t k = 0; k < value.rank; ++k) layout[k] = inputs[i]->shape[k];
    int64_t bytes = 0;
    required_strides(value, layout, inputs[i], layout + value.rank, &bytes);
    arguments.input_shape[i] = layout;
    layout += 2 * value.rank;
  }
  for (int32_t i = 0; i < function.num_outputs; ++i) {
    arguments.output_data[i] = nullptr;
    arguments.results[i] = nullptr;
  }
}

int32_t check_produced(const repose_rt_function& function, const Arguments& arguments,
                       Failure& failure) {
  for (int32_t i = 0; i < function.num_outputs; ++i) {
    if (arguments.output_data[i] != nullptr) continue;
    Text(failure.text, kErrorBytes)
        << "output `" << function.outputs[i].name << "` was not produced";
    return REPOSE_INTERNAL;
  }
  return REPOSE_OK;
}

// Gives a failure a text if generated code gave none.
void describe(const repose_rt_function& function, int32_t status, Failure& failure) {
  if (failure.text[0] != 0) return;
  Text(failure.text, kErrorBytes) << "function `" << function.name << "` failed with status "
                                  << status;
}

// Runs the generated function in a context; its results stay in the context's arguments.
int32_t run(Call& call, Failure& failure) {
  Frame frame = make_frame(call, failure);
  const int32_t status = call.function.run(&frame);
  if (status == REPOSE_OK) return check_produced(call.function, call.context->arguments, failure);
  describe(call.function, status, failure);
  return status;
}

void hand_over(const repose_rt_function& function, Arguments& arguments, bool keep,
               DLManagedTensorVersioned** results) {
  for (int32_t i = 0; i < function.num_outputs; ++i) {
    DLManagedTensorVersioned* result = arguments.results[i];
    arguments.results[i] = nullptr;
    if (keep && results != nullptr) {
      results[i] = result;
    } else if (result != nullptr) {
      result->deleter(result);
    }
  }
}

// The dimensions of a result against those of the tensor that the caller gave for it.
int32_t check_given(Frame& frame, const repose_rt_value& value, const DLTensor& given,
                    const int64_t* dims) {
  for (int32_t k = 0; k < value.rank; ++k) {
    if (given.shape[k] == dims[k]) continue;
    Text error = fail_text(frame);
    error << "output `" << value.name << "`: dimension " << k << " is " << given.shape[k]
          << ", expected ";
    if (value.dims[k].size < 0) error << "`" << value.dims[k].text << "` = ";
    error << dims[k];
    return REPOSE_REFUSED;
  }
  return REPOSE_OK;
}

int32_t check_symbols(const repose_rt_function& function, const int64_t* symbols, Text& error) {
  for (int32_t i = 0; i < function.num_symbols; ++i) {
    const repose_rt_symbol& symbol = function.symbols[i];
    const int64_t value = symbols[i];
    if (value < symbol.lower || value > symbol.upper) {
      error << "symbol `" << symbol.name << "` is " << value << ", expected at least "
            << symbol.lower;
      if (symbol.upper != INT64_MAX) error << " and at most " << symbol.upper;
      return REPOSE_REFUSED;
    }
    if (symbol.divisor > 1 && value % symbol.divisor != 0) {
      error << "symbol `" << symbol.name << "` is " << value << ", expected a multiple of "
            << symbol.divisor;
      return REPOSE_REFUSED;
    }
  }
  return REPOSE_OK;
}

// Memory for sizes that are 0: some address that is aligned and not null.
alignas(kAlignment) constinit uint8_t no_bytes[kAlignment] = {};

}  // namespace

int32_t call_function(Model& model, const repose_rt_function& function,
                      const DLTensor* const* inputs, DLTensor* const* outputs,
                      DLManagedTensorVersioned** results) {
  for (int32_t i = 0; results != nullptr && i < function.num_outputs; ++i) results[i] = nullptr;
  Failure failure;
  Text error(failure.text, kErrorBytes);
  int32_t status = check_arguments(function, inputs, outputs, error);
  if (status != REPOSE_OK) return record_error(model, status, failure.text);
  Context* context = model.contexts.acquire(&status);
  if (context == nullptr) {
    return record_error(model, status,
                        status == REPOSE_BUSY ? "every context of the model is in use"
                                              : "there is no memory for a context");
  }
  Call call{model, function, context, outputs, 0, model.profile.load(), nullptr};
  fill_arguments(context->arguments, function, inputs);
  status = run(call, failure);
  if (model.code->num_packed_functions > 0) {
    end_packed(context->packed, context->held, function.num_held);
  }
  hand_over(function, context->arguments, status == REPOSE_OK, results);
  model.contexts.release(model.budget, context);
  return status == REPOSE_OK ? status : record_error(model, status, failure.text);
}

int32_t compute_sizes(Model& model, const repose_rt_function& function, const int64_t* symbols,
                      int64_t* arena_bytes, int64_t* output_dims) {
  Failure failure;
  Call call{model, function, nullptr, nullptr, 0, nullptr, nullptr};
  Frame frame = make_frame(call, failure);
  Text error(failure.text, kErrorBytes);
  int32_t status = check_symbols(function, symbols, error);
  if (status == REPOSE_OK) status = function.sizes(&frame, symbols, arena_bytes, output_dims);
  if (status == REPOSE_OK) {
    if (*arena_bytes < 0 && function.unbounded != nullptr) {
      record_error(model, status, function.unbounded);
    }
    return status;
  }
  describe(function, status, failure);
  return record_error(model, status, failure.text);
}

}  // namespace repose::rt

using namespace repose::rt;

int32_t repose_rt_fail(repose_rt_frame* opaque, int32_t status, const char* message,
                       const int64_t* values, int32_t count) {
  Text text = fail_text(as_frame(opaque));
  format_message(text, message, values, count);
  return status;
}

void repose_rt_fail_in(repose_rt_frame* opaque, const char* origin) {
  char* text = as_frame(opaque).failure->text;
  size_t length = 0;
  while (text[length] != 0) ++length;
  Text(text + length, kErrorBytes - length) << " (in " << origin << ")";
}

int32_t repose_rt_count(repose_rt_frame* opaque, double operations) {
  Frame& frame = as_frame(opaque);
  const int64_t limit = frame.call->model.operations_limit;
  if (limit == 0) return REPOSE_RT_OK;
  frame.call->operations += operations;
  if (frame.call->operations <= static_cast<double>(limit)) return REPOSE_RT_OK;
  fail_text(frame) << "the call takes more operations than the limit of " << limit;
  return REPOSE_RT_REFUSED;
}

void repose_rt_kernel_begins(repose_rt_frame* opaque, int32_t number, double flops,
                             double read_bytes, double written_bytes) {
  Call& call = *as_frame(opaque).call;
  repose_profile* profile = call.profile;
  if (profile == nullptr) return;
  const int64_t position = __atomic_fetch_add(&profile->num_runs, 1, __ATOMIC_RELAXED);
  if (position >= profile->max_runs) return;
  call.kernel = &profile->runs[position];
  const auto function = static_cast<int32_t>(&call.function - call.model.code->functions);
  *call.kernel = {function, number, 0, 0, flops, read_bytes, written_bytes};
  call.kernel->begin_ns = now_ns();
}

void repose_rt_kernel_ends(repose_rt_frame* opaque) {
  Call& call = *as_frame(opaque).call;
  if (call.kernel == nullptr) return;
  call.kernel->end_ns = now_ns();
  call.kernel = nullptr;
}

void* repose_rt_region(repose_rt_frame* opaque, int32_t number, int64_t bytes) {
  Frame& frame = as_frame(opaque);
  if (bytes == 0) return no_bytes;
  if (number < 0 || number >= frame.call->function.num_regions || bytes < 0) {
    fail_text(frame) << "there is no region " << number << " of " << bytes << " bytes";
    return nullptr;
  }
  Region& region = frame.call->context->regions[number];
  // Again: in a loop, where the next iteration may need more still.
  const int64_t grown = region.asked ? 2 * region.block.bytes : 0;
  region.asked = true;
  if (region.block.bytes >= bytes) return region.block.data;
  free_block(frame.call->model.budget, region.block);
  const int64_t wanted = grown > bytes ? grown : bytes;
  return provide(frame, region.block, wanted) ? region.block.data : nullptr;
}

void* repose_rt_output(repose_rt_frame* opaque, int32_t i, const int64_t* dims, int32_t rank,
                       int32_t* status) {
  Frame& frame = as_frame(opaque);
  Call& call = *frame.call;
  Arguments& arguments = call.context->arguments;
  const repose_rt_value& value = call.function.outputs[i];
  *status = REPOSE_INTERNAL;
  if (rank != value.rank || arguments.output_data[i] != nullptr) {
    fail_text(frame) << "output `" << value.name << "` was produced twice or with another rank";
    return nullptr;
  }
  const DLTensor* given = call.outputs != nullptr ? call.outputs[i] : nullptr;
  if (given != nullptr) {
    *status = check_given(frame, value, *given, dims);
    if (*status != REPOSE_OK) return nullptr;
    void* data = first_element(*given);
    arguments.output_data[i] = data != nullptr ? data : no_bytes;
  } else {
    Text error = fail_text(frame);
    DLManagedTensorVersioned* result =
        make_result(call.model.budget.allocator, value, dims, status, error);
    if (result == nullptr) return nullptr;
    arguments.results[i] = result;
    arguments.output_data[i] = result->dl_tensor.data;
  }
  *status = REPOSE_OK;
  return arguments.output_data[i];
}

int32_t repose_rt_parallel(repose_rt_frame* opaque, repose_rt_body body, void* closure,
                           int64_t extent, int64_t grain, void* workspaces,
                           int64_t workspace_bytes) {
  Frame& frame = as_frame(opaque);
  if (extent <= 0) return REPOSE_RT_OK;
  const repose_thread_pool& threads = frame.call->model.threads;
  const int64_t least = grain > 1 ? grain : 1;
  const int64_t most = threads.num_threads > 1 ? int64_t{threads.num_threads} * kPiecesOfTask : 1;
  int64_t pieces = extent / least < most ? extent / least : most;
  if (frame.in_parallel || pieces <= 1) {
    return run_serially(frame, body, closure, extent, workspaces);
  }
  const int64_t piece = extent / pieces + (extent % pieces != 0);
  pieces = extent / piece + (extent % piece != 0);
  const int64_t tasks = pieces < threads.num_threads ? pieces : threads.num_threads;
  Loop loop{frame,          body, closure, extent, piece, static_cast<uint8_t*>(workspaces),
            workspace_bytes};
  divide(pieces, tasks, loop);
  threads.parallel_for(threads.user, run_pieces, &loop, static_cast<int32_t>(tasks));
  return loop.status;
}
