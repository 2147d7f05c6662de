// Machine code from tensor programs: object files of a whole model, or one program compiled into
// this process. Codegen decides nothing: loops, vectors and tiles are emitted as the tensor IR
// says, it knows no graph operator, and LLVM's vectorisers and unroller stay off.
//
// What a program must look like when it arrives here:
//   - blocks are lowered away, vectorized loops are ramps; mathematical functions are expanded
//     (passes/tensor/expand_math.h), except fma, sqrt, floor, ceil, round, trunc, abs, copysign;
//   - every free symbol is a scalar parameter;
//   - local buffers have constant shapes. Those whose indices are constants once loops marked
//     `unrolled` are unrolled (extent up to 64) live in registers.
// Anything else is an InternalError.
//
// A register tile that reaches the arithmetic peak (14x32 with 512 bits, 6x16 with 256; no spills):
//   acc = local buffer (rows, columns); zeroed by loops over rows and vectors of columns, both
//   `unrolled` for k (serial, not unrolled; the extent may be symbolic):
//     for i in unrolled(rows): for j in unrolled(columns / lanes):
//       acc[i, ramp(j * lanes, 1, lanes)] = fma(broadcast(A[i, k]), B[k, ramp(j * lanes, …)],
//       acc[i, ramp(…)])
//   then acc is stored by unrolled loops again. Accesses of acc are vectors of the same lanes
//   throughout.
// Calls of kernels: `int32_t kernel(repose_rt_frame*, …)` with a
// data pointer or a scalar per parameter, in order. Buffer parameters do not alias, unless the
// program has the attribute `may_alias` (all may) or `may_alias_params` (positions of those that
// may).
//
// Where two results are possible, the printed IR decides: no fast-math, no contraction. `fma`
// rounds once where the target has it (x86-64-v3 and later), and is a multiplication and an
// addition on x86-64-v2: results on different CPU levels may differ.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/target.h"
#include "ir/tir.h"

namespace repose {

struct CodegenOptions {
  bool debug_bounds = false;  // check every subscript at run time
  int threads = 1;            // compile this many modules at once; the objects do not depend on it
  bool runs_briefly = false;  // code of the compiler's process, compiled with the least effort
};

// The structures of runtime/abi.h with the compiler's strings; see there.
struct DimDescriptor {
  int64_t size = -1;  // -1: not known at compile time
  std::string text;
};
struct ValueDescriptor {
  std::string name;
  DType dtype;
  std::vector<DimDescriptor> dims;
  std::vector<int64_t> strides;  // empty: compact
  int aliases_input = -1;
};
struct SymbolDescriptor {
  std::string name;
  int64_t lower = 0, upper = INT64_MAX, divisor = 1;
};

// A graph function, lowered to host programs (src/host). `run` reaches inputs, outputs and memory
// through intrinsics. `sizes` has two buffer parameters of int64: bytes (1,) and output_dims (k,);
// stores to output_dims are dropped where the caller passes null. Both may have a scalar parameter
// at the end: the number of threads that work on a call.
struct ModelFunction {
  std::string name;
  std::vector<ValueDescriptor> inputs, outputs;
  std::vector<SymbolDescriptor> symbols;
  tir::PrimFunc run;
  tir::PrimFunc sizes;
  int num_regions = 1;    // that `run` asks for
  std::string unbounded;  // what decides the memory where `sizes` gives -1
  int num_held = 0;       // places for what packed functions give
};

struct ModelImage {
  std::string name;
  std::vector<std::pair<std::string, tir::PrimFunc>> kernels;  // what call_program names
  std::vector<ModelFunction> functions;
  std::vector<std::string> packed_functions;  // that functions call, by number
  std::string metadata_json;
  uint64_t weights_bytes = 0;
  bool weights_embedded =
      true;  // the linker defines `repose_weights`; false: a file beside the library
  bool is_profiled = false;  // host functions tell when kernels begin and end
};

// The bytes of ELF relocatable objects: kernels in groups of a fixed size, then host functions and
// the model table. Errors: unsupported_feature for what the native compiler does not cover.
Result<std::vector<std::string>> generate_objects(const ModelImage& image, const Target& target,
                                                  const CodegenOptions& options = {});

enum class CodeText { llvm, assembly };
// The same as text: one module with everything, after LLVM's passes.
Result<std::string> generate_text(const ModelImage& image, const Target& target, CodeText kind,
                                  const CodegenOptions& options = {});
Result<std::string> generate_text(const std::string& name, const tir::PrimFunc& kernel,
                                  const Target& target, CodeText kind,
                                  const CodegenOptions& options = {});

// A program compiled into this process: constant folding and weight transformations run it.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  // `buffers`: the data of each buffer parameter, in order; `scalars`: a 64-bit slot for each
  // scalar parameter, in order (integers extended; a float in the low bytes, as its bits). A
  // refusal is a run_time_check. May be called from several threads.
  virtual Result<void> call(void* const* buffers, const int64_t* scalars) const = 0;
};
Result<std::unique_ptr<CompiledProgram>> compile_in_process(const tir::PrimFunc& f,
                                                            const Target& target,
                                                            const CodegenOptions& options = {});

}  // namespace repose
