// Assignments of symbols, random arrays.
#include "text/inputs.h"

#include <algorithm>
#include <limits>

#include "ir/function_facts.h"

namespace repose::testing_text {

namespace {

constexpr int64_t max_elements = 10000;
constexpr size_t max_assignments = 25;

void add_symbol(std::vector<Var>& symbols, const Var& v) {
  if (std::find(symbols.begin(), symbols.end(), v) == symbols.end()) symbols.push_back(v);
}

std::vector<int64_t> values_of(const Interval& range) {
  std::vector<int64_t> values;
  for (int64_t v : {2, 7, 1, 0, 64}) {
    if (range.contains(v)) values.push_back(v);
  }
  const int64_t begin = range.lower == Interval::minus_infinity ? 0 : range.lower;
  for (int64_t v = begin; values.size() < 2 && v < begin + 4096; ++v) {
    if (range.contains(v) && !std::count(values.begin(), values.end(), v)) values.push_back(v);
  }
  return values;
}

int64_t pick(std::mt19937& random, int64_t lower, int64_t upper) {
  return lower + static_cast<int64_t>(random() % static_cast<uint32_t>(upper - lower + 1));
}

double random_float(Contents contents, std::mt19937& random) {
  using Limits = std::numeric_limits<double>;
  static constexpr double specials[] = {0.0,
                                        -0.0,
                                        Limits::infinity(),
                                        -Limits::infinity(),
                                        1e30,
                                        -1e30,
                                        Limits::quiet_NaN(),
                                        1e-40,
                                        1.0,
                                        -1.0,
                                        3e-310,
                                        0.5};
  if (contents == Contents::special && random() % 8 == 0) return specials[random() % 12];
  return static_cast<double>(random() % 4001) / 1000.0 - 2.0;
}

Scalar random_scalar(DType dtype, Contents contents, std::mt19937& random) {
  if (dtype.is_float()) return Scalar::of_float(random_float(contents, random), dtype);
  if (dtype.is_bool() || contents == Contents::small)
    return Scalar::of_int(pick(random, 0, 1), dtype);
  return Scalar::of_int(pick(random, -3, 8), dtype);
}

class ArgumentMaker {
 public:
  ArgumentMaker(const Assignment& symbols, Contents contents, uint32_t seed)
      : symbols_(symbols), contents_(contents), random_(seed) {}

  std::optional<HostValue> make(const Type& t) {
    if (const auto* tensor = as<TensorTypeNode>(t)) return make_tensor(*tensor);
    if (const auto* prim = as<PrimTypeNode>(t)) return make_prim(*prim);
    if (const auto* shape = as<ShapeTypeNode>(t)) {
      auto dims = shape->dims ? evaluate_all(*shape->dims) : random_dims(shape->rank);
      if (!dims) return std::nullopt;
      return HostValue(std::move(*dims));
    }
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      HostValue::Tuple fields;
      for (const Type& field : tuple->fields) {
        auto value = make(field);
        if (!value) return std::nullopt;
        fields.push_back(std::move(*value));
      }
      return HostValue(std::move(fields));
    }
    return std::nullopt;
  }

 private:
  const Assignment& symbols_;
  Contents contents_;
  std::mt19937 random_;
  int64_t elements_ = 0;

  std::optional<Scalar> value_of(const Expr& e) const {
    return evaluate(e, [&](const Var& v) -> std::optional<Scalar> {
      for (const auto& [symbol, value] : symbols_) {
        if (symbol == v) return Scalar::of_int(value, v->dtype);
      }
      return std::nullopt;
    });
  }

  std::optional<std::vector<int64_t>> evaluate_all(const std::vector<Expr>& dims) const {
    std::vector<int64_t> values;
    for (const Expr& d : dims) {
      auto value = value_of(d);
      if (!value) return std::nullopt;
      values.push_back(value->i);
    }
    return values;
  }

  std::optional<std::vector<int64_t>> random_dims(int rank) {
    std::vector<int64_t> dims(static_cast<size_t>(rank < 0 ? pick(random_, 0, 3) : rank));
    for (int64_t& d : dims) d = pick(random_, 0, 3);
    return dims;
  }

  std::optional<HostValue> make_tensor(const TensorTypeNode& t) {
    auto shape = t.shape ? evaluate_all(*t.shape) : random_dims(t.rank);
    const DType dtype = t.dtype ? t.dtype : dtypes::float32;
    if (!shape || array_bytes(*shape, dtype) < 0) return std::nullopt;
    for (int64_t d : *shape) {
      if (d > max_elements) return std::nullopt;
    }
    elements_ += array_bytes(*shape, dtype) / dtype.size_bytes();
    if (elements_ > max_elements) return std::nullopt;
    return HostValue(random_array(std::move(*shape), dtype, contents_, random_));
  }

  std::optional<HostValue> make_prim(const PrimTypeNode& t) {
    if (!t.value) return HostValue(random_scalar(t.dtype, contents_, random_));
    auto value = value_of(t.value);
    if (!value) return std::nullopt;
    return HostValue(*value);
  }
};

}  // namespace

std::string to_string(const Assignment& symbols) {
  std::string text;
  for (const auto& [symbol, value] : symbols) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", symbol->name, value);
  }
  return text.empty() ? "no symbols" : text;
}

Signature signature(const graph::Function& f) {
  Signature s;
  s.facts = declared_facts(f);
  for (const graph::Variable& p : f->params) {
    s.params.push_back(p->type);
    for (const Var& v : free_vars(p->type)) add_symbol(s.symbols, v);
  }
  return s;
}

Signature signature(const tir::PrimFunc& f) {
  Signature s;
  for (const tir::Param& p : f->params) {
    if (p.buffer) {
      s.params.push_back(tensor_type(p.buffer->shape, p.buffer->dtype));
      for (const Var& v : free_vars(s.params.back())) add_symbol(s.symbols, v);
    } else if (p.var->dtype.is_index()) {
      s.params.push_back(prim_type_of(p.var));
      add_symbol(s.symbols, p.var);
    } else {
      s.params.push_back(prim_type(p.var->dtype));
    }
  }
  return s;
}

std::vector<Assignment> assignments(const Signature& f) {
  std::vector<std::vector<int64_t>> choices;
  size_t combinations = 1;
  for (const Var& v : f.symbols) {
    choices.push_back(values_of(f.facts.range_of(v)));
    if (choices.back().empty()) return {};
    combinations = std::min(max_assignments + 1, combinations * choices.back().size());
  }
  std::vector<Assignment> all;
  std::mt19937 random(1);
  auto add = [&](const std::function<size_t(size_t symbol)>& choice) {
    Assignment a;
    for (size_t i = 0; i < choices.size(); ++i) {
      a.emplace_back(f.symbols[i], choices[i][choice(i) % choices[i].size()]);
    }
    all.push_back(std::move(a));
  };
  if (combinations <= max_assignments) {
    for (size_t n = 0; n < combinations; ++n) {
      size_t rest = n;
      add([&](size_t i) {
        const size_t digit = rest % choices[i].size();
        rest /= choices[i].size();
        return digit;
      });
    }
    return all;
  }
  for (size_t n = 0; n < 5; ++n) add([&](size_t) { return n; });
  while (all.size() < max_assignments) add([&](size_t) { return random() % 5; });
  return all;
}

std::optional<std::vector<HostValue>> random_arguments(const Signature& f,
                                                       const Assignment& symbols, Contents contents,
                                                       uint32_t seed) {
  ArgumentMaker maker(symbols, contents, seed);
  std::vector<HostValue> args;
  for (const Type& t : f.params) {
    auto value = maker.make(t);
    if (!value) return std::nullopt;
    args.push_back(std::move(*value));
  }
  return args;
}

Array random_array(std::vector<int64_t> shape, DType dtype, Contents contents,
                   std::mt19937& random) {
  Ref<ArrayNode> array = make_array(std::move(shape), dtype);
  const int64_t count = array->num_elements();
  for (int64_t i = 0; i < count; ++i) array->store(i, random_scalar(dtype, contents, random));
  return array;
}

}  // namespace repose::testing_text
