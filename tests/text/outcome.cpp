// Calls under the interpreter; comparison of results.
#include "text/outcome.h"

#include <cmath>
#include <map>
#include <optional>

#include "ops/ops.h"

namespace repose::testing_text {

namespace {

constexpr int64_t max_steps = 200000;

Outcome outcome_of(const Diagnostics& errors) {
  Outcome o;
  o.kind = errors[0].kind == DiagnosticKind::too_large ? Outcome::Kind::too_large
                                                       : Outcome::Kind::refused;
  o.error = to_string(errors);
  return o;
}

// Parameters of which one may lie in the memory of another.
struct Shared {
  size_t result, operand;
  bool in_place;
};

Outcome run_program(const tir::PrimFunc& f, const std::vector<HostValue>& args,
                    const InterpretOptions& options, const std::optional<Shared>& shared = {}) {
  std::vector<Ref<ArrayNode>> buffers;
  std::vector<Scalar> scalars;
  std::map<size_t, Ref<ArrayNode>> by_param;
  HostValue::Tuple results;
  for (size_t i = 0; i < args.size(); ++i) {
    if (const Scalar* s = args[i].scalar()) {
      scalars.push_back(*s);
      continue;
    }
    const Array in = args[i].tensor();
    Ref<ArrayNode> copy = make_array(in->shape, in->dtype);
    std::copy(in->bytes, in->bytes + in->num_bytes, copy->mutable_bytes());
    buffers.push_back(copy);
    by_param[i] = copy;
    if (!shared || i != shared->operand) results.emplace_back(copy);
  }
  if (shared && shared->in_place) {
    by_param[shared->result]->owner = by_param[shared->operand]->owner;
    by_param[shared->result]->bytes = by_param[shared->operand]->bytes;
  }
  auto done = interpret_program(f, buffers, scalars, options);
  if (!done.ok()) return outcome_of(done.errors());
  Outcome o;
  o.value = HostValue(std::move(results));
  return o;
}

void flatten(const HostValue& v, std::vector<HostValue>& leaves) {
  if (const auto* tuple = v.tuple()) {
    for (const HostValue& field : *tuple) flatten(field, leaves);
  } else {
    leaves.push_back(v);
  }
}

bool is_near(const Scalar& a, const Scalar& b, Closeness closeness) {
  if (!a.dtype.is_float() || std::isnan(a.f) || std::isnan(b.f) || std::isinf(a.f)) return a == b;
  const double relative = closeness == Closeness::half ? 3e-2
                          : a.dtype == dtypes::float64 ? 1e-12
                          : a.dtype == dtypes::float32 ? 1e-4
                          : a.dtype == dtypes::float16 ? 4e-3
                                                       : 3e-2;
  return std::abs(a.f - b.f) <= relative * std::max(1.0, std::abs(a.f));
}

bool is_equal(const Scalar& a, const Scalar& b) {
  return (a.dtype.is_float() && std::isnan(a.f) && std::isnan(b.f)) || a == b;
}

std::string array_difference(const Array& a, const Array& b, Closeness closeness) {
  if (a->dtype != b->dtype || a->shape != b->shape) {
    return to_string(HostValue(a)) + " and " + to_string(HostValue(b));
  }
  for (int64_t i = 0, n = a->num_elements(); i < n; ++i) {
    const Scalar x = a->load(i), y = b->load(i);
    if (closeness == Closeness::exact ? is_equal(x, y) : is_near(x, y, closeness)) continue;
    return fmt::format("element {} of shape ({}): {} and {}", i, fmt::join(a->shape, ", "),
                       to_string(HostValue(x)), to_string(HostValue(y)));
  }
  return "";
}

}  // namespace

Outcome run(const Module& module, const std::string& function, const std::vector<HostValue>& args,
            std::span<const repose_packed_entry> packed_functions) {
  InterpretOptions options;
  options.packed_functions = packed_functions.data();
  options.num_packed_functions = packed_functions.size();
  options.max_steps = max_steps;
  options.max_call_depth = 100;
  std::string printed;
  options.print = [&](const std::string& text) { printed += text + "\n"; };
  if (tir::PrimFunc program = module.prim_func(function)) {
    return run_program(program, args, options);
  }
  auto result = interpret(module, standard_ops(), function, args, options);
  Outcome o;
  if (result.ok()) {
    o.value = *result;
  } else {
    o = outcome_of(result.errors());
  }
  o.printed = std::move(printed);
  return o;
}

Outcome run_with_shared_memory(const tir::PrimFunc& program, const std::vector<HostValue>& args,
                               size_t result, size_t operand, bool in_place) {
  InterpretOptions options;
  options.max_steps = max_steps;
  return run_program(program, args, options, Shared{result, operand, in_place});
}

std::string difference(const HostValue& a, const HostValue& b, Closeness closeness) {
  std::vector<HostValue> left, right;
  flatten(a, left);
  flatten(b, right);
  if (left.size() != right.size()) return to_string(a) + " and " + to_string(b);
  for (size_t i = 0; i < left.size(); ++i) {
    const Array x = left[i].tensor(), y = right[i].tensor();
    std::string found;
    if (x && y) {
      found = array_difference(x, y, closeness);
    } else if (left[i].closure() || right[i].closure()) {
      found = "functions, which cannot be compared";
    } else if (x || y || to_string(left[i]) != to_string(right[i])) {
      found = to_string(left[i]) + " and " + to_string(right[i]);
    }
    if (!found.empty()) return left.size() == 1 ? found : fmt::format("result {}: {}", i, found);
  }
  return "";
}

}  // namespace repose::testing_text
