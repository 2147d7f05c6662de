// Build, transform, print and compile models in C++: the compiler as a library.
//
//   #include "repose/compiler.hpp"
//   using namespace repose;
//
//   ModuleBuilder b;
//   Var m = b.symbol("m");
//   b.begin_function("main");
//   Value x = b.input("x", {m, 224}, dtypes::float32);
//   Value y = b.dataflow([&] {
//     Value flat = b.emit("flatten", {x});                     // (m * 224,)
//     Value twice = b.emit_te("twice", {flat}, [](auto& in) {  // a formula per element
//       return te::compute(in[0].shape(), [&](auto& i) { return in[0](i) + in[0](i); }, "twice");
//     });
//     return b.emit("nn.relu", {twice});
//   });
//   b.end_function({y}, {"y"});
//
//   Result<Module> module = b.finish();
//   if (!module.ok()) { std::cerr << to_string(module.errors()); return 1; }
//   std::cout << print(*module);
//   Result<void> done = compile(*module, "model.so");          // load it with repose/repose.h
//
// Nothing here throws, prints or exits. User errors are Diagnostics that name the line of C++ they
// are about; the builder collects them until finish(). A value that could not be made is null, and
// what uses it is skipped, so that one run shows every mistake once.
//
// The layers below are part of the interface: expressions (expr/expr.h), types, values, `Builder`
// and the verifier (ir/), tensor expressions (te/te.h), the operators (ops/ops.h), the text form
// (script/), schedules (schedule/), the pipeline (driver/), patterns (passes/graph/pattern.h).
// Names: docs/ir.md.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "driver/compile.h"
#include "driver/pipeline.h"
#include "driver/read_model.h"
#include "expr/expr.h"
#include "ir/builder.h"
#include "ir/structural.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/graph/bind_params.h"
#include "passes/graph/convert_layout.h"
#include "passes/graph/external_groups.h"
#include "passes/graph/fuse_by_pattern.h"
#include "passes/graph/pattern_rules.h"
#include "schedule/finish.h"
#include "schedule/primitives.h"
#include "schedule/replay.h"
#include "script/parser.h"
#include "script/printer.h"
#include "te/te.h"

namespace repose {

using Value = graph::Value;

// One dimension: a number, a symbol, or an expression over symbols.
struct Dim : Expr {
  template <std::integral T>
  Dim(T size) : Expr(make_int(static_cast<int64_t>(size))) {}  // NOLINT: implicit on purpose
  Dim(Var symbol) : Expr(std::move(symbol)) {}                 // NOLINT
  Dim(Expr expression) : Expr(std::move(expression)) {}        // NOLINT
};

// The dimensions of a tensor: {m, 224}, {m * 224}, {} for a scalar.
struct Shape : Dims {
  Shape() = default;
  Shape(std::initializer_list<Dim> dims) : Dims(dims.begin(), dims.end()) {}
  Shape(Dims dims) : Dims(std::move(dims)) {}  // NOLINT: implicit on purpose
};

// A compact array of `T` (float, double, bool or an integer type); null where there are more or
// fewer elements than the shape says.
template <class T>
  requires std::is_arithmetic_v<T>
Array array_of(std::vector<int64_t> shape, const std::vector<T>& elements);

// The place in C++ that an error is about; never passed by hand.
using Here = std::source_location;

// Builds a module, one function after another. Functions are in normal form and typed as they
// grow; each call below checks its operator's rules at once.
class ModuleBuilder {
 public:
  // Continues `base`. `ops` outlives the builder and the module.
  explicit ModuleBuilder(const OpTable& ops = standard_ops(), Module base = {});
  ~ModuleBuilder();
  ModuleBuilder(ModuleBuilder&&) noexcept;
  ModuleBuilder& operator=(ModuleBuilder&&) noexcept;

  // ---- Functions -------------------------------------------------------------------------------

  // A dimension symbol: at least 0, and in `range` for each function that begins from here on.
  Var symbol(std::string name, Interval range = {});

  void begin_function(std::string name, Here here = Here::current());
  // A parameter; all come before the function's first operation.
  Value input(std::string name, Shape shape, DType dtype, Here here = Here::current());
  Value input(std::string name, Type type, Here here = Here::current());
  // Ends the function: one result is returned as it is, several as a tuple. `names` are those of
  // the results in the artifact (default: output_0, …).
  void end_function(std::vector<Value> results, std::vector<std::string> names = {},
                    Here here = Here::current());

  // ---- Values ----------------------------------------------------------------------------------

  // A call of an operator by name: emit("concat", {make_tuple(a, b)}, {{"axis", 1}}).
  Value emit(std::string_view op, std::vector<Value> operands, Attrs attrs = {},
             Here here = Here::current());
  // Any value of the graph IR (ir/graph.h): a call of a function of the module, a tuple, ….
  Value emit(const Value& value, std::string name = "", Here here = Here::current());

  // A tensor expression over the operands becomes a tensor program of the module and its call_tir.
  // `formula` gets a te::Tensor per operand and gives one te::Tensor or a vector of them (then the
  // value is a tuple).
  template <class Formula>
    requires std::invocable<Formula&, const std::vector<te::Tensor>&>
  Value emit_te(const std::string& name, const std::vector<Value>& operands, Formula formula,
                Here here = Here::current()) {
    return emit_formula(
        name, operands,
        [&](const std::vector<te::Tensor>& in) -> std::vector<te::Tensor> {
          if constexpr (std::is_same_v<std::invoke_result_t<Formula&, decltype(in)>, te::Tensor>) {
            return {formula(in)};
          } else {
            return formula(in);
          }
        },
        here);
  }

  // The value as a tensor of this shape: checked when the model runs. Bare symbols that nothing has
  // bound yet get the dimensions found.
  Value match_cast(const Value& value, Shape shape, DType dtype, Here here = Here::current());
  Value match_cast(const Value& value, Type type, Here here = Here::current());

  // A dataflow block: `body` emits and gives the value (or the vector of values) to use after it.
  // Blocks don't nest.
  template <class Body>
    requires std::invocable<Body&>
  auto dataflow(Body body, Here here = Here::current()) {
    begin_dataflow(here);
    auto result = body();
    if constexpr (std::is_convertible_v<decltype(result), Value>) {
      Value out = emit_output(result, here);
      end_dataflow();
      return out;
    } else {
      for (Value& value : result) value = emit_output(value, here);
      end_dataflow();
      return result;
    }
  }

  Value constant(Array data, Here here = Here::current());
  template <class T>
  Value constant(std::vector<int64_t> shape, const std::vector<T>& elements,
                 Here here = Here::current()) {
    return constant(array_of(std::move(shape), elements), here);
  }
  Value tuple(std::vector<Value> fields) const;
  Value item(const Value& tuple, int index, Here here = Here::current());
  Value shape(Shape dims) const { return graph::make_shape(std::move(dims)); }  // an operand

  // What is known of a value; empty for a null value and for an unknown shape.
  Dims shape_of(const Value& value) const;
  DType dtype_of(const Value& value) const;

  // ---- The result ------------------------------------------------------------------------------

  // The verified module, or every error so far. The builder is empty afterwards.
  Result<Module> finish();
  // Errors so far.
  const Diagnostics& errors() const;
  // The layer below: branches, closures, facts. Its current function begins with the first
  // operation.
  Builder& builder();

 private:
  struct State;
  std::unique_ptr<State> state_;

  Value emit_formula(
      const std::string& name, const std::vector<Value>& operands,
      const std::function<std::vector<te::Tensor>(const std::vector<te::Tensor>&)>& formula,
      const Here& here);
  void begin_dataflow(const Here& here);
  void end_dataflow();
  Value emit_output(const Value& value, const Here& here);
};

// Runs passes of the pipeline by name, in the order in which they were added; pipeline_passes()
// lists them, further_passes() those that are no part of it. The result of each is verified. Passes
// with more to say are functions: apply_pattern_rules, fuse_by_pattern, call_external_groups,
// bind_params, convert_layout (passes/graph/).
//
//   PassManager passes;
//   passes.add("legalize").add("fuse_programs");
//   passes.after_pass = [](auto& name, auto& module) { std::cout << name << print(module); };
//   Result<Module> fused = passes.run(*module);
class PassManager {
 public:
  // A pass of the pipeline, or one of the caller's own.
  PassManager& add(std::string pass);
  PassManager& add(std::string name, std::function<Result<Module>(const Module&)> pass);
  // All passes of the pipeline.
  PassManager& add_pipeline();

  // A module of operators `ops`, for `cpu` ("host", or as --cpu takes it).
  Result<Module> run(const Module& module, const OpTable& ops = standard_ops(),
                     const std::string& cpu = "host") const;

  std::function<void(const std::string& pass, const Module& result)> after_pass;

 private:
  struct Pass {
    std::string name;
    std::function<Result<Module>(const Module&)> run;  // empty: of the pipeline
  };
  std::vector<Pass> passes_;
};

// The module with a tensor program scheduled by hand: its loops are what the primitives of `steps`
// make of them (docs/schedule.md, schedule/primitives.h), and schedule_programs leaves them alone.
//
//   PassManager before;
//   before.add("legalize").add("fuse_programs").add("expose_symbols");
//   Result<Module> programs = before.run(*module);
//   Result<Module> scheduled = with_schedule(*programs, "relu", [](schedule::Scheduled& s) {
//     return schedule::vectorize(s, *schedule::loop_named(s, "i0"));
//   });
//
// An error: the first of `steps`; there is no such program; a step that needs its calls changed
// (prepack).
Result<Module> with_schedule(const Module& module, const std::string& program,
                             const std::function<Result<void>(schedule::Scheduled&)>& steps);

// Reads a module from a file, ONNX or text: read_model (driver/read_model.h).
// Reads a module from text (docs/ir.md). `name` stands for the text in messages.
Result<Module> parse(std::string text, std::string name = "text",
                     const OpTable& ops = standard_ops());

struct ArtifactOptions {
  std::string cpu = "host";           // or x86-64-v2, x86-64-v3, x86-64-v4
  Emit kind = Emit::shared;           // shared library, object, LLVM IR or assembly
  std::string name = "model";         // in the artifact's metadata
  std::string symbol_prefix;          // of an object's symbols: several in one program
  std::vector<std::string> disabled;  // passes to leave out
  bool profile = false;               // it can tell when each kernel ran (repose_set_profile)
};

// Compiles the module's public graph functions into the file `path`, which is replaced as a whole
// or not at all.
Result<void> compile(const Module& module, const std::string& path,
                     const ArtifactOptions& options = {});

// ---- Definitions -------------------------------------------------------------------------------

template <class T>
  requires std::is_arithmetic_v<T>
Array array_of(std::vector<int64_t> shape, const std::vector<T>& elements) {
  constexpr auto bits = static_cast<uint8_t>(8 * sizeof(T));
  constexpr DType dtype = std::is_same_v<T, bool>
                              ? dtypes::boolean
                              : DType{std::is_floating_point_v<T> ? DType::Code::flt
                                      : std::is_signed_v<T>       ? DType::Code::sint
                                                                  : DType::Code::uint,
                                      bits};
  const int64_t bytes = array_bytes(shape, dtype);
  if (bytes < 0 || static_cast<size_t>(bytes) != elements.size() * sizeof(T)) return nullptr;
  Ref<ArrayNode> array = make_array(std::move(shape), dtype);
  for (size_t i = 0; i < elements.size(); ++i) {
    const T x = elements[i];
    array->store(static_cast<int64_t>(i), dtype.is_float()
                                              ? Scalar::of_float(static_cast<double>(x), dtype)
                                              : Scalar::of_int(static_cast<int64_t>(x), dtype));
  }
  return array;
}

}  // namespace repose
