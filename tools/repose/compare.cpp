// repose compare: a compiled model against the interpreter, at several small shapes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>
#include <unordered_map>

#include "arrays.h"
#include "call_sizes.h"
#include "command.h"
#include "interp/interpreter.h"
#include "loaded_model.h"
#include "ops/ops.h"

namespace repose::cli {

namespace {

struct CompareOptions {
  ModelOptions model;
  std::string artifact;
  std::string function;
  std::vector<std::string> inputs;
  double rtol = 1e-4, atol = 1e-6;
  int threads = 0;
  uint64_t seed = 1;
};

using Sizes = std::vector<int64_t>;  // one per symbol of the function

// The member of `range` next to `size`, upwards where there is one.
Result<int64_t> fit(const SymbolInfo& symbol, int64_t size) {
  const Interval& range = symbol.range;
  const int64_t divisor = std::max<int64_t>(1, range.divisor);
  int64_t n = std::max({size, range.lower, int64_t{0}});
  const int64_t above = (n - range.remainder) % divisor;
  if (above != 0) n += divisor - (above + divisor) % divisor;
  if (n > range.upper) {
    const int64_t last =
        range.upper - ((range.upper - range.remainder) % divisor + divisor) % divisor;
    if (last < std::max<int64_t>(range.lower, 0)) {
      return error(DiagnosticKind::bad_range, {}, "no size of `{}` lies in its range", symbol.name);
    }
    n = last;
  }
  return n;
}

// Small sizes for all symbols: equal and different ones, odd ones, and 0, as far as the ranges have
// them; each choice once.
Result<std::vector<Sizes>> choose_sizes(const std::vector<SymbolInfo>& symbols) {
  static const std::vector<Sizes> patterns = {{1},       {2},       {2, 3, 5, 4}, {7, 1, 3},
                                              {1, 7, 2}, {0, 3, 5}, {0}};
  std::vector<Sizes> chosen;
  for (const Sizes& pattern : patterns) {
    Sizes sizes;
    for (size_t i = 0; i < symbols.size(); ++i) {
      REPOSE_TRY(n, fit(symbols[i], pattern[i % pattern.size()]));
      sizes.push_back(n);
    }
    if (std::find(chosen.begin(), chosen.end(), sizes) == chosen.end()) chosen.push_back(sizes);
  }
  return chosen;
}

// Do the strides give two elements one place? (As far as it can be seen dimension by dimension.)
bool shares_places(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (size_t k = 0; k < strides.size(); ++k) {
    if (shape[k] > 1) order.emplace_back(strides[k], shape[k]);
  }
  std::sort(order.begin(), order.end());
  int64_t reach = 0;
  for (auto [stride, extent] : order) {
    if (stride <= reach) return true;
    int64_t last = 0;
    // Beyond what fits, places differ (and there is no memory for them).
    if (__builtin_mul_overflow(extent - 1, stride, &last) ||
        __builtin_add_overflow(reach, last, &reach)) {
      return false;
    }
  }
  return false;
}

struct Inputs {
  std::vector<Array> arrays;
  std::vector<std::vector<int64_t>> strides;  // declared ones
};

Result<Inputs> make_inputs(const FunctionInterface& interface, const Sizes& sizes,
                           const std::vector<std::string>& fills, uint64_t seed) {
  std::unordered_map<const VarNode*, int64_t> values;
  for (size_t i = 0; i < sizes.size(); ++i) values[interface.symbols[i].symbol.get()] = sizes[i];
  auto lookup = [&](const Var& v) -> std::optional<Scalar> {
    auto it = values.find(v.get());
    if (it == values.end()) return std::nullopt;
    return Scalar::of_int(it->second, v->dtype);
  };
  Inputs inputs;
  for (size_t i = 0; i < interface.inputs.size(); ++i) {
    const ValueInfo& input = interface.inputs[i];
    inputs.strides.emplace_back();
    for (const Expr& e : input.strides) {
      const std::optional<Scalar> stride = evaluate(e, lookup);
      if (!stride || stride->i < 0) {
        return error(DiagnosticKind::call_refused, {}, "input `{}`: a stride has no value here",
                     input.name);
      }
      inputs.strides.back().push_back(stride->i);
    }
    std::vector<int64_t> shape;
    for (size_t d = 0; d < input.dims.size(); ++d) {
      const std::optional<Scalar> size = evaluate(input.dims[d], lookup);
      if (!size || size->i < 0) {
        return error(DiagnosticKind::call_refused, {},
                     "input `{}`: dimension {} (`{}`) has no size here", input.name, d,
                     input.dim_texts[d]);
      }
      shape.push_back(size->i);
    }
    if (shares_places(shape, inputs.strides.back())) {
      return error(DiagnosticKind::call_refused, {}, "input `{}`: its elements share memory here",
                   input.name);
    }
    REPOSE_TRY(array, fill_array(std::move(shape), input.dtype, fills[i], seed + i));
    if (!fits_memory(*array, inputs.strides.back())) {
      return error(DiagnosticKind::call_refused, {},
                   "input `{}`: no memory for its elements with the strides ({})", input.name,
                   fmt::join(inputs.strides.back(), ", "));
    }
    inputs.arrays.push_back(array);
  }
  return inputs;
}

void collect(const HostValue& value, std::vector<Array>& out) {
  if (const HostValue::Tuple* fields = value.tuple()) {
    for (const HostValue& field : *fields) collect(field, out);
  } else {
    out.push_back(value.tensor());
  }
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

// "[1, 2]", the subscripts of element `i`.
std::string place_text(int64_t i, const std::vector<int64_t>& shape) {
  std::vector<int64_t> at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    at[d] = i % shape[d];
    i /= shape[d];
  }
  return fmt::format("[{}]", fmt::join(at, ", "));
}

std::string element_text(const Scalar& s) {
  if (s.dtype.is_float()) return fmt::format("{:.9g}", s.f);
  if (s.dtype == dtypes::uint64) return std::to_string(static_cast<uint64_t>(s.i));
  return std::to_string(s.i);
}

struct Difference {
  double largest = 0, allowed = 0;
  int64_t where = -1;  // of the largest
  bool within() const { return largest <= allowed; }
};

double distance(const Scalar& a, const Scalar& b) {
  if (!a.dtype.is_float()) {
    return a.i == b.i
               ? 0
               : std::max(1.0, std::fabs(static_cast<double>(a.i) - static_cast<double>(b.i)));
  }
  if (a.f == b.f || (std::isnan(a.f) && std::isnan(b.f))) return 0;
  const double d = std::fabs(a.f - b.f);
  return std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
}

// Floats may differ by atol + rtol * the largest magnitude expected, other types not at all.
Difference difference(const ArrayNode& got, const ArrayNode& want, double rtol, double atol) {
  Difference result;
  double magnitude = 0;
  for (int64_t i = 0, n = want.num_elements(); i < n; ++i) {
    const Scalar a = got.load(i), b = want.load(i);
    if (b.dtype.is_float() && std::isfinite(b.f)) magnitude = std::max(magnitude, std::fabs(b.f));
    const double d = distance(a, b);
    if (d > result.largest) {
      result.largest = d;
      result.where = i;
    }
  }
  if (want.dtype.is_float()) result.allowed = atol + rtol * magnitude;
  return result;
}

// Prints a line per output; an error per output that differs.
Diagnostics compare_outputs(const FunctionInterface& interface, const std::vector<Array>& got,
                            const std::vector<Array>& want, const CompareOptions& o) {
  Diagnostics problems;
  for (size_t i = 0; i < want.size(); ++i) {
    const std::string& name = interface.outputs[i].name;
    if (got[i]->dtype != want[i]->dtype || got[i]->shape != want[i]->shape) {
      problems.push_back(error(DiagnosticKind::results_differ, {},
                               "output `{}` is {} {} from the model, {} {} from the interpreter",
                               name, got[i]->dtype.to_string(), shape_text(got[i]->shape),
                               want[i]->dtype.to_string(), shape_text(want[i]->shape)));
      continue;
    }
    const Difference d = difference(*got[i], *want[i], o.rtol, o.atol);
    std::printf("  %s: %s %s, largest difference %.3g (allowed %.3g)%s\n", name.c_str(),
                want[i]->dtype.to_string().c_str(), shape_text(want[i]->shape).c_str(), d.largest,
                d.allowed, d.within() ? "" : " DIFFERS");
    if (d.within()) continue;
    problems.push_back(
        error(DiagnosticKind::results_differ, {},
              "output `{}` differs most at {}: {} from the model, {} from the interpreter", name,
              place_text(d.where, want[i]->shape), element_text(got[i]->load(d.where)),
              element_text(want[i]->load(d.where))));
  }
  return problems;
}

bool is_refusal(const Diagnostics& errors) {
  return !errors.empty() && kind_failure(errors[0].kind) == Failure::refused;
}

// What both sides make of the same inputs. `*compared` is left alone where both refuse them.
Diagnostics compare_call(const LoadedModel& model, int index, const Module& module,
                         const FunctionInterface& interface, const Inputs& inputs,
                         const CompareOptions& o, bool* compared) {
  const std::vector<HostValue> values(inputs.arrays.begin(), inputs.arrays.end());
  auto want = interpret(module, standard_ops(), interface.name, values);
  if (!want.ok() && !is_refusal(want.errors())) return want.errors();
  auto got = model.call(index, inputs.arrays, inputs.strides);
  if (!got.ok() && !want.ok()) {
    std::printf("  refused by both: %s\n", got.errors()[0].text.c_str());
    return {};
  }
  *compared = true;
  if (!got.ok()) {
    return {error(DiagnosticKind::results_differ, {},
                  "the model refuses what the interpreter computes: {}", got.errors()[0].text)};
  }
  if (!want.ok()) {
    return {error(DiagnosticKind::results_differ, {},
                  "the model computes what the interpreter refuses: {}", want.errors()[0].text)};
  }
  std::vector<Array> arrays;
  collect(*want, arrays);
  if (arrays.size() != got->size()) {
    return {error(DiagnosticKind::results_differ, {},
                  "{} outputs from the model, {} from the interpreter", got->size(),
                  arrays.size())};
  }
  return compare_outputs(interface, *got, arrays, o);
}

Result<std::unique_ptr<LoadedModel>> load(const CompareOptions& o) {
  if (o.artifact.empty()) return LoadedModel::load(o.model, {o.threads, 0});
  if (auto none = refuse_for_artifact(o.model, true); !none.ok()) return none.errors();
  return LoadedModel::load(o.artifact, {o.threads, 0});
}

// The function's interface, as its source module says it.
Result<FunctionInterface> find_interface(const LoadedModel& model, int index,
                                         const Module& module) {
  repose_function info{};
  repose_get_function(model.handle(), index, &info);
  graph::Function f = module.graph_function(info.name);
  if (!f) {
    return error(DiagnosticKind::bad_usage, {},
                 "the artifact was not made from this model: that has no function `{}`", info.name);
  }
  REPOSE_TRY(interface, function_interface(info.name, f));
  bool same = info.num_inputs == static_cast<int>(interface.inputs.size()) &&
              info.num_outputs == static_cast<int>(interface.outputs.size());
  for (size_t i = 0; same && i < interface.inputs.size(); ++i) {
    repose_value value{};
    repose_get_input(model.handle(), index, static_cast<int>(i), &value);
    same = value.name == interface.inputs[i].name;
  }
  if (same) return interface;
  return error(DiagnosticKind::bad_usage, {},
               "the artifact was not made from this model: `{}` has other inputs or outputs",
               info.name);
}

Result<void> compare(CompareOptions o) {
  if (!o.artifact.empty() && is_artifact(o.model.path)) std::swap(o.artifact, o.model.path);
  if (is_artifact(o.model.path)) {
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` is an artifact: give the model that it was made from too", o.model.path);
  }
  if (!(o.rtol >= 0) || !(o.atol >= 0)) {
    return error(DiagnosticKind::bad_usage, {}, "--rtol and --atol are at least 0");
  }
  REPOSE_TRY(module, read_model(o.model));
  REPOSE_TRY(model, load(o));
  REPOSE_TRY(index, model->function(o.function));
  REPOSE_TRY(interface, find_interface(*model, index, module));
  REPOSE_TRY(fill, parse_fills(input_names(*model, index), o.inputs));
  REPOSE_TRY(choices, choose_sizes(interface.symbols));
  Diagnostics problems;
  bool compared = false;
  for (const Sizes& sizes : choices) {
    std::string title;
    for (size_t i = 0; i < sizes.size(); ++i) {
      title += fmt::format("{}{}={}", i ? ", " : "", interface.symbols[i].name, sizes[i]);
    }
    std::printf("%s\n", title.empty() ? "the only shape" : title.c_str());
    auto inputs = make_inputs(interface, sizes, fill, o.seed);
    if (!inputs.ok()) {
      if (!is_refusal(inputs.errors())) return inputs.errors();
      std::printf("  skipped: %s\n", inputs.errors()[0].text.c_str());
      continue;
    }
    for (Diagnostic& d : compare_call(*model, index, module, interface, *inputs, o, &compared)) {
      if (!title.empty()) d.text = title + ": " + d.text;
      problems.push_back(std::move(d));
    }
  }
  if (!problems.empty()) return problems;
  if (!compared) {
    return error(DiagnosticKind::call_refused, {},
                 "nothing was compared: every call was refused; name sizes with --dim");
  }
  return {};
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand(
      "compare", "Compare a model, compiled, with the interpreter at small shapes");
  add_model_options(*command, options->model, Uses::compiling, "An .onnx or .pt2 file, or IR text");
  command->add_option("artifact", options->artifact,
                      "The model, compiled before; default: it is compiled now");
  command->add_option("--function", options->function, "The graph function; default: main")
      ->check(not_empty());
  command->add_option("-i,--input", options->inputs,
                      "NAME=rand, NAME=rand(lo,hi), NAME=zeros or NAME=ones; default: rand");
  command
      ->add_option("--rtol", options->rtol,
                   "Allowed difference, as a part of the output's largest magnitude")
      ->capture_default_str();
  command->add_option("--atol", options->atol, "Allowed difference besides")->capture_default_str();
  command->add_option("--threads", options->threads, "Threads; default: as the machine allows")
      ->check(thread_count());
  command->add_option("--seed", options->seed, "Of the random inputs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->callback([options, &exit_code] {
    auto done = compare(*options);
    exit_code = done.ok() ? 0 : report(done.errors());
  });
}

}  // namespace repose::cli
