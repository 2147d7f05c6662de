// Gradients beside differences.
#include "text/gradient_case.h"

#include <cmath>

#include "text/inputs.h"
#include "text/native.h"

namespace repose::testing_text {

namespace {

constexpr int64_t largest_symbol = 7;
constexpr double step = 1e-5;  // of inputs of about 1: truncation and rounding are 1e-10 or so
constexpr double tolerance = 1e-6;

bool is_float_array(const HostValue& v) {
  const Array a = v.tensor();
  return a && a->dtype.is_float();
}

std::vector<double> floats_of(const Array& a) {
  std::vector<double> values;
  for (int64_t i = 0; i < a->num_elements(); ++i) values.push_back(a->load(i).f);
  return values;
}

Array with_floats(const Array& like, const std::vector<double>& values) {
  Ref<ArrayNode> made = make_array(like->shape, like->dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    made->store(static_cast<int64_t>(i), Scalar::of_float(values[i], like->dtype));
  }
  return made;
}

// Inputs lie on a grid: off it no two are equal, and none is where a function has a corner.
void leave_grid(std::vector<HostValue>& args, std::mt19937& random) {
  std::uniform_real_distribution<double> offset(1e-4, 9e-4);
  for (HostValue& arg : args) {
    if (!is_float_array(arg)) continue;
    std::vector<double> values = floats_of(arg.tensor());
    for (double& v : values) v += offset(random);
    arg = with_floats(arg.tensor(), values);
  }
}

// (main(args + step * direction) - main(args - step * direction)) / (2 * step), of one parameter;
// NaN where it is refused.
double difference_along(const Module& module, std::vector<HostValue> args, size_t parameter,
                        const std::vector<double>& direction) {
  const Array x = args[parameter].tensor();
  const std::vector<double> values = floats_of(x);
  double results[2];
  for (int side = 0; side < 2; ++side) {
    std::vector<double> moved = values;
    for (size_t i = 0; i < moved.size(); ++i) moved[i] += (side == 0 ? step : -step) * direction[i];
    args[parameter] = with_floats(x, moved);
    const Outcome o = run(module, "main", args);
    if (o.kind != Outcome::Kind::ran) return std::nan("");
    results[side] = o.value.tensor()->load(0).f;
  }
  return (results[0] - results[1]) / (2 * step);
}

std::string compare_parameter(const Module& module, const std::vector<HostValue>& args,
                              size_t parameter, const HostValue& gradient, std::mt19937& random) {
  const Array x = args[parameter].tensor(), g = gradient.tensor();
  if (!g || g->shape != x->shape) {
    return fmt::format("the gradient in parameter {} has another shape than it", parameter);
  }
  std::uniform_real_distribution<double> component(-1, 1);
  std::vector<double> direction(static_cast<size_t>(x->num_elements()));
  for (double& d : direction) d = component(random);
  const std::vector<double> slopes = floats_of(g);
  double along = 0, size = 0;
  for (size_t i = 0; i < slopes.size(); ++i) {
    along += slopes[i] * direction[i];
    size += std::abs(slopes[i]);
  }
  const double expected = difference_along(module, args, parameter, direction);
  if (std::abs(along - expected) <= tolerance * (1 + size)) return "";
  return fmt::format("along a direction of parameter {} the gradient says {}, differences {}",
                     parameter, along, expected);
}

std::string compare_at(const Module& module, const std::vector<HostValue>& args,
                       const Outcome& adjoint, std::mt19937& random) {
  const HostValue::Tuple& parts = *adjoint.value.tuple();
  const HostValue::Tuple& gradients = *parts[1].tuple();
  size_t next = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!is_float_array(args[i])) continue;
    const std::string found = compare_parameter(module, args, i, gradients[next++], random);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace

std::string compare_with_differences(const Module& module, bool with_native) {
  const Signature s = signature(module.graph_function("main"));
  std::optional<NativeModule> native;
  if (with_native) {
    auto loaded = NativeModule::load(module);
    if (!loaded.ok()) return "native code: " + to_string(loaded.errors());
    native.emplace(std::move(*loaded));
  }
  std::mt19937 random(1);
  int compared = 0;
  for (const Assignment& symbols : assignments(s)) {
    bool is_small = true;
    for (const auto& [symbol, value] : symbols) is_small = is_small && value <= largest_symbol;
    auto args = is_small ? random_arguments(s, symbols, Contents::small, random()) : std::nullopt;
    if (!args) continue;
    leave_grid(*args, random);
    const Outcome plain = run(module, "main", *args);
    const Outcome adjoint = run(module, "main_adjoint", *args);
    auto failed = [&](const std::string& what) {
      return fmt::format("{}: {}", to_string(symbols), what);
    };
    if (plain.kind != adjoint.kind)
      return failed("main: " + plain.error + ", main_adjoint: " + adjoint.error);
    if (plain.kind != Outcome::Kind::ran) continue;
    ++compared;
    const std::string other =
        difference(plain.value, (*adjoint.value.tuple())[0], Closeness::exact);
    if (!other.empty()) return failed("main and main_adjoint: " + other);
    // Beyond numbers there are no differences.
    if (!std::isfinite(plain.value.tensor()->load(0).f)) continue;
    std::string found = compare_at(module, *args, adjoint, random);
    if (!found.empty()) return failed(found);
    if (!native) continue;
    const Outcome compiled = native->call("main_adjoint", *args);
    if (compiled.kind != Outcome::Kind::ran) return failed("native code: " + compiled.error);
    found = difference(as_native(adjoint.value), compiled.value, Closeness::rounding);
    if (!found.empty()) return failed("the interpreter and native code: " + found);
  }
  return compared ? "" : "no assignment of the symbols ran";
}

}  // namespace repose::testing_text
