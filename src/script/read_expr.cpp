// Scalar expressions of the text: dtypes of literals, casts between index and data, functions.
#include "script/read_expr.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace repose::script {

namespace {

const Node& literal_of(const Node& node, bool* negative) {
  const Node* n = &node;
  *negative = false;
  while (n->kind == NodeKind::unary && (n->text == "-" || n->text == "+")) {
    if (n->text == "-") *negative = !*negative;
    n = n->kids[0];
  }
  return *n;
}

bool is_special_float(const Node& n) {
  return n.kind == NodeKind::name && (n.text == "inf" || n.text == "nan");
}

// Operators, and the names that stand for them.
struct OperatorName {
  std::string_view name;
  ExprKind kind;
};
constexpr OperatorName operators[] = {
    {"+", ExprKind::add},         {"-", ExprKind::sub},          {"*", ExprKind::mul},
    {"/", ExprKind::div},         {"//", ExprKind::floor_div},   {"%", ExprKind::floor_mod},
    {"&", ExprKind::bit_and},     {"|", ExprKind::bit_or},       {"^", ExprKind::bit_xor},
    {"<<", ExprKind::shift_left}, {">>", ExprKind::shift_right}, {"==", ExprKind::eq},
    {"!=", ExprKind::ne},         {"<", ExprKind::lt},           {"<=", ExprKind::le},
    {">", ExprKind::gt},          {">=", ExprKind::ge},          {"and", ExprKind::logical_and},
    {"or", ExprKind::logical_or},
};
constexpr OperatorName functions[] = {
    {"min", ExprKind::min},
    {"max", ExprKind::max},
    {"Add", ExprKind::add},
    {"Sub", ExprKind::sub},
    {"Mul", ExprKind::mul},
    {"Div", ExprKind::div},
    {"Mod", ExprKind::mod},
    {"FloorDiv", ExprKind::floor_div},
    {"FloorMod", ExprKind::floor_mod},
    {"Min", ExprKind::min},
    {"Max", ExprKind::max},
    {"EQ", ExprKind::eq},
    {"NE", ExprKind::ne},
    {"LT", ExprKind::lt},
    {"LE", ExprKind::le},
    {"GT", ExprKind::gt},
    {"GE", ExprKind::ge},
    {"And", ExprKind::logical_and},
    {"Or", ExprKind::logical_or},
    {"truncdiv", ExprKind::div},
    {"truncmod", ExprKind::mod},
    {"div", ExprKind::div},
    {"floordiv", ExprKind::floor_div},
    {"floormod", ExprKind::floor_mod},
    {"indexdiv", ExprKind::floor_div},
    {"indexmod", ExprKind::floor_mod},
    {"shift_left", ExprKind::shift_left},
    {"shift_right", ExprKind::shift_right},
    {"bitwise_and", ExprKind::bit_and},
    {"bitwise_or", ExprKind::bit_or},
    {"bitwise_xor", ExprKind::bit_xor},
};

bool find_operator(std::string_view name, bool is_function, ExprKind* kind) {
  auto search = [&](const auto& table) {
    for (const OperatorName& op : table) {
      if (op.name == name) {
        *kind = op.kind;
        return true;
      }
    }
    return false;
  };
  return is_function ? search(functions) : search(operators);
}

// Spellings of TVM for intrinsics that have another name here.
std::string intrinsic_spelling(const std::string& name) {
  if (name == "fabs") return "abs";
  if (name == "power") return "pow";
  if (name == "nearbyint") return "round";
  if (name == "call_pure_extern") return "call_extern";
  if (name == "tvm_call_packed" || name == "call_packed_lowered") return "call_packed";
  return name;
}

bool is_host_intrinsic(Intrinsic i) {
  return i >= Intrinsic::input_dim;
}

DType result_of(Intrinsic intrinsic, const std::vector<Expr>& args) {
  switch (intrinsic) {
    case Intrinsic::input_dim:
    case Intrinsic::sizes_symbol:
      return dtypes::index;
    case Intrinsic::input_data:
    case Intrinsic::output_data:
    case Intrinsic::arena_region:
    case Intrinsic::weight_data:
    case Intrinsic::byte_offset:
    case Intrinsic::buffer_data:
      return dtypes::handle;
    case Intrinsic::isnan:
    case Intrinsic::isinf:
    case Intrinsic::isfinite:
      return dtypes::boolean.with_lanes(args[0]->dtype.lanes);
    case Intrinsic::vector_reduce_add:
    case Intrinsic::vector_reduce_mul:
    case Intrinsic::vector_reduce_min:
    case Intrinsic::vector_reduce_max:
      return args[0]->dtype.element();
    default:
      return args.empty() ? dtypes::int32 : args[0]->dtype;
  }
}

std::vector<std::string> function_names() {
  std::vector<std::string> names = {
      "Select", "if_then_else", "Cast",      "cast",     "Ramp",        "Broadcast",  "ceildiv",
      "likely", "min_value",    "max_value", "infinity", "bitwise_not", "reinterpret"};
  for (const OperatorName& f : functions) names.emplace_back(f.name);
#define INTRINSIC(name, arity, pure) names.emplace_back(#name);
#include "expr/intrinsics.def"
#undef INTRINSIC
  return names;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool fits(int64_t value, bool is_unsigned, DType dtype) {
  if (dtype.is_index()) return !is_unsigned;
  if (dtype.is_bool()) return !is_unsigned && (value == 0 || value == 1);
  if (dtype.bits == 64) return dtype.is_uint() ? is_unsigned || value >= 0 : !is_unsigned;
  if (is_unsigned) return false;
  if (dtype.is_uint()) return value >= 0 && value < (int64_t{1} << dtype.bits);
  int64_t half = int64_t{1} << (dtype.bits - 1);
  return value >= -half && value < half;
}

}  // namespace

std::string suggest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t distance = std::max<size_t>(name.size() / 3, 1) + 1;
  if (name.size() > 64) return "";
  for (const std::string& c : candidates) {
    if (c.size() > 64) continue;
    size_t d = edit_distance(name, c);
    if (d < distance) {
      distance = d;
      best = c;
    }
  }
  return best.empty() ? "" : fmt::format(", did you mean `{}`?", best);
}

bool is_literal(const Node& node) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  return n.kind == NodeKind::integer || n.kind == NodeKind::real || is_special_float(n);
}

bool integer_value(const Node& node, int64_t* value, bool* is_unsigned) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  errno = 0;
  bool hex = n.text.starts_with("0x") || n.text.starts_with("0X");
  unsigned long long magnitude = std::strtoull(n.text.c_str(), nullptr, hex ? 16 : 10);
  if (errno == ERANGE) return false;
  constexpr uint64_t top = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (negative && magnitude > top + 1) return false;
  *is_unsigned = !negative && magnitude > top;
  *value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

double real_value(const Node& node) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  double value = n.text == "inf"   ? std::numeric_limits<double>::infinity()
                 : n.text == "nan" ? std::numeric_limits<double>::quiet_NaN()
                                   : std::strtod(n.text.c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<int64_t> constant_integer(const Node& node) {
  bool negative = false;
  if (literal_of(node, &negative).kind != NodeKind::integer) return std::nullopt;
  int64_t value = 0;
  bool is_unsigned = false;
  if (!integer_value(node, &value, &is_unsigned) || is_unsigned) return std::nullopt;
  return value;
}

// ---- Literals and names
// --------------------------------------------------------------------------

namespace {

Expr make_literal(ReadContext& context, const Node& node, DType dtype) {
  dtype = dtype.element();
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  bool is_integer = n.kind == NodeKind::integer;
  if (dtype.is_handle()) dtype = {};
  if (!dtype) dtype = is_integer ? dtypes::index : dtypes::float32;
  if (!is_integer) {
    if (!dtype.is_float()) {
      return context.fail(DiagnosticKind::dtype_mismatch, node.at,
                          "a floating-point literal where `{}` is expected", dtype.to_string());
    }
    return make_float(real_value(node), dtype);
  }
  int64_t value = 0;
  bool is_unsigned = false;
  if (dtype.is_float()) {
    double d = std::strtod(n.text.c_str(), nullptr);
    return make_float(negative ? -d : d, dtype);
  }
  if (!integer_value(node, &value, &is_unsigned) || !fits(value, is_unsigned, dtype)) {
    return context.fail(DiagnosticKind::bad_literal, node.at, "`{}{}` doesn't fit `{}`",
                        negative ? "-" : "", n.text, dtype.to_string());
  }
  return dtype.is_bool() ? make_bool(value != 0) : make_int(value, dtype);
}

}  // namespace

Expr ExprReader::read(const Node& node, DType expected) {
  if (is_literal(node)) {
    bool negative = false;
    const Node& n = literal_of(node, &negative);
    // `inf` and `nan` are names that a program may use.
    Expr variable = n.kind == NodeKind::name ? names_.find_variable(n) : nullptr;
    if (!variable) return make_literal(context_, node, expected);
  }
  switch (node.kind) {
    case NodeKind::boolean:
      return make_bool(node.text == "True");
    case NodeKind::string:
      return make_string(node.text);
    case NodeKind::name: {
      if (Expr v = names_.find_variable(node)) return v;
      if (names_.explain(node)) return nullptr;
      if (names_.find_buffer(node.text)) {
        return context_.fail(DiagnosticKind::type_mismatch, node.at,
                             "buffer `{}` stands where a value is expected: index it", node.text);
      }
      return context_.fail(DiagnosticKind::unknown_name, node.at, "unknown name `{}`{}", node.text,
                           suggest(node.text, names_.candidates()));
    }
    case NodeKind::attribute: {
      if (node.text == "data" && node.kids[0]->kind == NodeKind::name) {
        if (Buffer buffer = names_.find_buffer(node.kids[0]->text)) {
          if (Expr data = names_.find_data(buffer)) return data;
          std::vector<Expr> zeros(buffer->shape.size(), make_int(0));
          return make_call(Intrinsic::buffer_data, dtypes::handle, {make_load(buffer, zeros)});
        }
      }
      break;
    }
    case NodeKind::unary:
      return read_unary(node, expected);
    case NodeKind::binary:
      return read_binary(node, expected);
    case NodeKind::subscript:
      return read_load(node);
    case NodeKind::call:
      return read_call(node, expected);
    case NodeKind::conditional: {
      Node choice;
      choice.kind = NodeKind::call;
      choice.at = node.at;
      choice.kids = {node.kids[0], node.kids[1], node.kids[0], node.kids[2]};
      return read_choice(choice, true, expected);
    }
    default:
      break;
  }
  return context_.fail(DiagnosticKind::syntax, node.at, "expected a scalar expression");
}

Expr ExprReader::read_as(const Node& node, DType dtype) {
  Expr e = read(node, dtype);
  if (!e || e->dtype == dtype) return e;
  DType from = e->dtype.element(), to = dtype.element();
  bool lanes_fit = e->dtype.lanes == dtype.lanes || !e->dtype.is_vector() || !dtype.is_vector();
  if (from == to && lanes_fit) return e;
  bool integers = from.is_any_int() && to.is_any_int() && (from.is_index() || to.is_index());
  if (integers && lanes_fit) return make_cast(to.with_lanes(e->dtype.lanes), e);
  return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`{}` where `{}` is expected",
                       e->dtype.to_string(), dtype.to_string());
}

Expr ExprReader::read_condition(const Node& node) {
  Expr e = read(node, dtypes::boolean);
  if (!e || e->dtype.is_bool()) return e;
  if (e->dtype.is_any_int()) return ne(e, make_int(0, e->dtype));
  return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                       "a condition of dtype `{}`, expected a bool", e->dtype.to_string());
}

Expr ExprReader::read_quoted(const Node& node, DType dtype) {
  auto read_inner = [&](const Node& n) {
    return dtype || is_literal(n) ? read_as(n, dtype ? dtype : dtypes::index) : read(n);
  };
  if (node.kind != NodeKind::string) return read_inner(node);
  Position first = node.at;
  first.offset += 1;
  first.column += 1;
  Node* inner = nullptr;
  if (node.is_raw_string) {
    std::string_view text = context_.tree.source->text;
    inner = parse_fragment(context_.tree, text.substr(first.offset, node.text.size()), first,
                           context_.errors);
  } else {
    inner = parse_fragment(context_.tree, node.text, node.at, context_.errors);
  }
  return inner ? read_inner(*inner) : nullptr;
}

std::optional<std::vector<Expr>> ExprReader::read_shape(const Node& node) {
  std::vector<Expr> dims;
  bool is_list = node.kind == NodeKind::tuple || node.kind == NodeKind::list;
  bool ok = true;
  auto add = [&](const Node& n) {
    Expr e = read_quoted(n);
    ok = ok && e;
    dims.push_back(e);
  };
  if (is_list) {
    for (const Node* kid : node.kids) add(*kid);
  } else {
    add(node);
  }
  if (!ok) return std::nullopt;
  return dims;
}

std::optional<DType> ExprReader::read_dtype(const Node& node) {
  std::string name = node.kind == NodeKind::string ? node.text : "";
  std::string dotted = dotted_name(node);
  if (node.kind == NodeKind::call && node.kids.size() == 2) {
    std::string callee = dotted_name(*node.kids[0]);
    if (callee == "R.dtype" || callee == "T.dtype") return read_dtype(*node.kids[1]);
  }
  if (name.empty() && (dotted.starts_with("T.") || dotted.starts_with("R."))) {
    name = dotted.substr(2);
  }
  if (node.kind == NodeKind::string && (name.empty() || name == "void")) return DType{};
  if (auto dtype = DType::parse(name)) return dtype;
  if (node.kind == NodeKind::string) {
    context_.fail(DiagnosticKind::bad_literal, node.at, "`{}` is no dtype", node.text);
  } else {
    context_.fail(DiagnosticKind::bad_literal, node.at, "expected a dtype such as \"float32\"");
  }
  return std::nullopt;
}

// ---- Operators
// -----------------------------------------------------------------------------------

// Gives two operands one dtype, or reports that they have none in common. A constant that the text
// writes with a 32- or 64-bit dtype is an index next to an index; an index next to data is cast.
bool ExprReader::reconcile(const Node& node, Expr& a, Expr& b) {
  if (a->dtype == b->dtype) return true;
  bool lanes_fit =
      a->dtype.lanes == b->dtype.lanes || !a->dtype.is_vector() || !b->dtype.is_vector();
  DType x = a->dtype.element(), y = b->dtype.element();
  if (x == y && lanes_fit) return true;
  auto adapt = [&](Expr& index, Expr& data) {
    if (data->kind == ExprKind::int_imm && !data->dtype.is_uint()) {
      data = make_int(as<IntImmNode>(data)->value);
    } else {
      index = make_cast(data->dtype.element().with_lanes(index->dtype.lanes), index);
    }
  };
  if (lanes_fit && x.is_index() && y.is_data_int()) {
    adapt(a, b);
    return true;
  }
  if (lanes_fit && y.is_index() && x.is_data_int()) {
    adapt(b, a);
    return true;
  }
  context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                "operands of dtypes `{}` and `{}`: expected one dtype", a->dtype.to_string(),
                b->dtype.to_string());
  return false;
}

bool ExprReader::read_pair(const Node& a, const Node& b, DType expected, Expr* x, Expr* y) {
  if (is_literal(a) && !is_literal(b)) {
    *y = read(b, expected);
    if (*y) *x = read(a, (*y)->dtype);
  } else {
    *x = read(a, expected);
    if (*x) *y = read(b, is_literal(b) ? (*x)->dtype : expected);
  }
  return *x && *y;
}

Expr ExprReader::read_binary(const Node& node, DType expected) {
  // Down the left spine, which may be long, without recursion.
  std::vector<const Node*> spine{&node};
  while (spine.back()->kids[0]->kind == NodeKind::binary) spine.push_back(spine.back()->kids[0]);
  auto expected_for = [&](const Node& n) -> DType {
    ExprKind kind;
    if (find_operator(n.text, false, &kind)) {
      if (is_compare(kind)) return {};
      if (is_logic(kind)) return dtypes::boolean;
    }
    return expected.is_bool() && n.text != "&" && n.text != "|" && n.text != "^" ? DType{}
                                                                                 : expected;
  };
  Expr left;
  for (size_t i = spine.size(); i-- > 0;) {
    const Node& n = *spine[i];
    Expr right;
    DType wanted = expected_for(n);
    for (size_t k = i; k-- > 0 && wanted;)
      wanted = spine[k]->kids[0] ? expected_for(*spine[k]) : wanted;
    if (i + 1 == spine.size()) {
      if (!read_pair(*n.kids[0], *n.kids[1], wanted, &left, &right)) return nullptr;
    } else {
      right = read(*n.kids[1], is_literal(*n.kids[1]) ? left->dtype : wanted);
      if (!right) return nullptr;
    }
    left = combine(n, std::move(left), std::move(right));
    if (!left) return nullptr;
  }
  return left;
}

Expr ExprReader::combine(const Node& node, Expr a, Expr b) {
  if (node.text == "**") {
    if (!reconcile(node, a, b)) return nullptr;
    if (a->dtype.is_index()) {
      int64_t exponent = 0;
      if (!as_const_int(b, &exponent) || exponent < 0 || exponent > 64) {
        return context_.fail(DiagnosticKind::bad_argument, node.at,
                             "an exponent of an index is a small constant");
      }
      Expr power = make_int(1);
      for (int64_t i = 0; i < exponent; ++i) power = power * a;
      return power;
    }
    if (!a->dtype.is_float() && !a->dtype.is_data_int()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "a power of `{}`",
                           a->dtype.to_string());
    }
    return make_call(Intrinsic::pow, std::move(a), std::move(b));
  }
  ExprKind kind;
  if (!find_operator(node.text, false, &kind)) {
    return context_.fail(DiagnosticKind::syntax, node.at, "`{}` is no operator of scalars",
                         node.text);
  }
  return make_operation(node, kind, std::move(a), std::move(b));
}

Expr ExprReader::make_operation(const Node& node, ExprKind kind, Expr a, Expr b) {
  if (!reconcile(node, a, b)) return nullptr;
  DType t = a->dtype;
  auto refuse = [&](const char* expected) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                         "`{}` of operands of dtype `{}`, expected {}", kind_spelling(kind),
                         t.to_string(), expected);
  };
  bool bits = kind >= ExprKind::bit_and && kind <= ExprKind::bit_xor;
  if (t.is_bool() && kind == ExprKind::bit_and) kind = ExprKind::logical_and;
  if (t.is_bool() && kind == ExprKind::bit_or) kind = ExprKind::logical_or;
  if (t.is_bool() && kind == ExprKind::bit_xor) kind = ExprKind::ne;
  if (t.is_handle() || !t) {
    if (kind != ExprKind::eq && kind != ExprKind::ne) return refuse("numbers");
  } else if (is_logic(kind)) {
    if (!t.is_bool()) return refuse("bools");
  } else if (bits && t.is_bool()) {
    // translated above
  } else if (bits || kind == ExprKind::shift_left || kind == ExprKind::shift_right) {
    if (!t.is_any_int()) return refuse("integers");
  } else if (kind == ExprKind::floor_div || kind == ExprKind::floor_mod) {
    if (!t.is_any_int()) return refuse("integers");
  } else if (!is_compare(kind) && t.is_bool()) {
    return refuse("numbers");
  }
  if (t.is_index() && (kind == ExprKind::div || kind == ExprKind::mod)) {
    // Rounding to zero, in terms of rounding down.
    Expr zero = make_int(0);
    Expr same = make_select(le(zero, a), le(zero, b), le(b, zero));
    Expr quotient = make_select(same, floor_div(a, b), zero - floor_div(zero - a, b));
    return kind == ExprKind::div ? quotient : a - quotient * b;
  }
  return make_binary(kind, std::move(a), std::move(b));
}

Expr ExprReader::read_unary(const Node& node, DType expected) {
  if (node.text == "not") {
    Expr e = read_condition(*node.kids[0]);
    return e ? make_not(std::move(e)) : nullptr;
  }
  Expr e = read(*node.kids[0], expected);
  if (!e || node.text == "+") return e;
  if (e->dtype.is_bool() || e->dtype.is_handle() || !e->dtype) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`{}` of a value of dtype `{}`",
                         node.text, e->dtype.to_string());
  }
  if (node.text == "~") {
    if (e->dtype.is_float()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`~` of a float");
    }
    return make_bit_not(std::move(e));
  }
  if (e->dtype.is_float()) {
    Expr minus_one = make_float(-1, e->dtype);
    return std::move(e) * std::move(minus_one);
  }
  Expr zero = make_int(0, e->dtype);
  return std::move(zero) - std::move(e);
}

Expr ExprReader::read_load(const Node& node) {
  const Node& base = *node.kids[0];
  Buffer buffer = base.kind == NodeKind::name ? names_.find_buffer(base.text) : nullptr;
  if (!buffer) {
    if (base.kind == NodeKind::name && !names_.find_variable(base) && names_.explain(base)) {
      return nullptr;
    }
    if (dotted_name(base).empty()) {
      return context_.fail(DiagnosticKind::syntax, base.at, "expected a buffer before `[`");
    }
    if (base.kind == NodeKind::name && names_.find_variable(base)) {
      return context_.fail(DiagnosticKind::type_mismatch, base.at, "`{}` is no buffer", base.text);
    }
    return context_.fail(DiagnosticKind::unknown_name, base.at, "unknown buffer `{}`{}",
                         dotted_name(base), suggest(base.text, names_.candidates()));
  }
  std::vector<Node*> given(node.kids.begin() + 1, node.kids.end());
  if (given.size() == 1 && given[0]->kind == NodeKind::tuple) given = given[0]->kids;
  if (given.size() != buffer->shape.size()) {
    return context_.fail(DiagnosticKind::rank_mismatch, node.at,
                         "buffer `{}` has {} dimensions, {} indices are given", buffer->name,
                         buffer->shape.size(), given.size());
  }
  std::vector<Expr> indices;
  for (const Node* index : given) {
    Expr e;
    if (index->kind == NodeKind::slice) {
      Expr low = index->kids[0] ? read_index(*index->kids[0]) : make_int(0);
      Expr high = index->kids[1] ? read_index(*index->kids[1]) : nullptr;
      int64_t lanes = 0;
      int64_t a = 0, b = 0;
      if (!low || !high) return nullptr;
      if (as_const_int(low, &a) && as_const_int(high, &b)) {
        lanes = b - a;
      } else if (high->kind == ExprKind::add && structural_equal(high->args[0], low)) {
        (void)as_const_int(high->args[1], &lanes);
      }
      if (lanes < 1 || lanes > 4096) {
        return context_.fail(DiagnosticKind::bad_argument, index->at,
                             "a slice in a load has a constant extent");
      }
      e = make_ramp(low, make_int(1), static_cast<int>(lanes));
    } else {
      e = read_index(*index);
    }
    if (!e) return nullptr;
    indices.push_back(std::move(e));
  }
  return make_load(std::move(buffer), std::move(indices));
}

// ---- Functions
// -----------------------------------------------------------------------------------

Expr ExprReader::read_call(const Node& node, DType expected) {
  std::string name = dotted_name(*node.kids[0]);
  if (name.starts_with("T.") || name.starts_with("tirx.")) {
    return read_function(node, name.substr(name.find('.') + 1), expected);
  }
  if (name.starts_with("cls.") || name.starts_with("Module.")) {
    std::vector<Expr> args;
    for (size_t i = 1; i < node.kids.size(); ++i) {
      args.push_back(read(*node.kids[i]));
      if (!args.back()) return nullptr;
    }
    return make_call(Intrinsic::call_program, dtypes::int32, std::move(args),
                     name.substr(name.find('.') + 1));
  }
  if ((name == "min" || name == "max") && node.kids.size() == 3) {
    return read_function(node, name, expected);
  }
  return context_.fail(DiagnosticKind::unknown_name, node.at,
                       "`{}` is no function of scalar expressions", name.empty() ? "this" : name);
}

Expr ExprReader::read_conversion(const Node& node, DType dtype, const Node& operand,
                                 DType expected) {
  DType target = dtype;
  bool as_index = expected.is_index() && (dtype == dtypes::int32 || dtype == dtypes::int64);
  if (operand.kind == NodeKind::string && dtype.is_float()) {  // T.float32("inf")
    char* end = nullptr;
    double value = std::strtod(operand.text.c_str(), &end);
    if (operand.text.empty() || *end) {
      return context_.fail(DiagnosticKind::bad_literal, operand.at, "`{}` is no number",
                           operand.text);
    }
    return make_float(value, dtype);
  }
  if (is_literal(operand) && operand.kind != NodeKind::name) {
    bool negative = false;
    bool is_integer = literal_of(operand, &negative).kind == NodeKind::integer;
    if (as_index && is_integer) target = dtypes::index;
    if (is_integer || target.is_float()) {
      Expr value = make_literal(context_, operand, target);
      return value && target.is_vector() ? make_broadcast(value, target.lanes) : value;
    }
    Expr value = make_float(real_value(operand), dtypes::float64);
    return make_cast(target, value);
  }
  if (operand.kind == NodeKind::boolean && dtype.is_bool()) {
    return make_bool(operand.text == "True");
  }
  Expr value = read(operand);
  if (!value) return nullptr;
  if (as_index && value->dtype.is_index()) return value;
  if (!dtype || dtype.is_handle() != value->dtype.is_handle() ||
      value->kind == ExprKind::string_imm) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "no cast from `{}` to `{}`",
                         value->dtype.to_string(), dtype.to_string());
  }
  if (value->dtype.is_vector() && value->dtype.lanes != dtype.lanes) {
    if (dtype.is_vector()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "no cast from `{}` to `{}`",
                           value->dtype.to_string(), dtype.to_string());
    }
    dtype = dtype.with_lanes(value->dtype.lanes);
  }
  return make_cast(dtype, std::move(value));
}

Expr ExprReader::read_choice(const Node& node, bool lazy, DType expected) {
  Expr condition = read_condition(*node.kids[1]);
  Expr a, b;
  if (!condition || !read_pair(*node.kids[2], *node.kids[3], expected, &a, &b)) return nullptr;
  if (!reconcile(node, a, b)) return nullptr;
  if (condition->dtype.is_vector() && a->dtype.is_vector() &&
      a->dtype.lanes != condition->dtype.lanes) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                         "a condition of {} lanes selects between vectors of {}",
                         condition->dtype.lanes, a->dtype.lanes);
  }
  if (!a->dtype) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "expected numbers");
  }
  return lazy ? make_if_then_else(condition, a, b) : make_select(condition, a, b);
}

Expr ExprReader::read_function(const Node& node, const std::string& name, DType expected) {
  size_t count = node.kids.size() - 1;
  auto need = [&](size_t n) {
    if (count == n) return true;
    context_.fail(DiagnosticKind::wrong_arity, node.at, "`T.{}` takes {} arguments, {} are given",
                  name, n, count);
    return false;
  };
  if (auto dtype = DType::parse(name)) {
    if (!need(1)) return nullptr;
    return read_conversion(node, *dtype, *node.kids[1], expected);
  }
  if (name == "Cast" || name == "cast") {
    if (!need(2)) return nullptr;
    auto dtype = read_dtype(*node.kids[name == "Cast" ? 1 : 2]);
    if (!dtype) return nullptr;
    return read_conversion(node, *dtype, *node.kids[name == "Cast" ? 2 : 1], expected);
  }
  if (name == "IntImm" || name == "FloatImm") {  // exactly this dtype
    if (!need(2)) return nullptr;
    auto dtype = read_dtype(*node.kids[1]);
    return dtype ? read_conversion(node, *dtype, *node.kids[2], {}) : nullptr;
  }
  if (name == "Select" || name == "if_then_else") {
    return need(3) ? read_choice(node, name == "if_then_else", expected) : nullptr;
  }
  if (name == "likely") return need(1) ? read(*node.kids[1], expected) : nullptr;
  if (name == "Not") {
    if (!need(1)) return nullptr;
    Expr e = read_condition(*node.kids[1]);
    return e ? make_not(std::move(e)) : nullptr;
  }
  if (name == "bitwise_not") {
    if (!need(1)) return nullptr;
    Node operation;
    operation.kind = NodeKind::unary;
    operation.text = "~";
    operation.at = node.at;
    operation.kids = {node.kids[1]};
    return read_unary(operation, expected);
  }
  if (name == "min_value" || name == "max_value" || name == "infinity") {
    if (!need(1)) return nullptr;
    auto dtype = read_dtype(*node.kids[1]);
    if (!dtype) return nullptr;
    bool largest = name != "min_value";
    if (dtype->is_float()) {
      double limit = dtype->bits == 64           ? std::numeric_limits<double>::max()
                     : dtype->bits == 32         ? std::numeric_limits<float>::max()
                     : *dtype == dtypes::float16 ? 65504.0
                                                 : std::ldexp(255.0, 120);  // the largest bfloat16
      if (name == "infinity") limit = std::numeric_limits<double>::infinity();
      return make_float(largest ? limit : -limit, *dtype);
    }
    if (!dtype->is_data_int() || name == "infinity") {
      return context_.fail(DiagnosticKind::bad_argument, node.at, "`T.{}` of `{}`", name,
                           dtype->to_string());
    }
    if (dtype->is_uint()) return make_int(largest ? -1 : 0, *dtype);
    int64_t top = static_cast<int64_t>((uint64_t{1} << (dtype->bits - 1)) - 1);
    return make_int(largest ? top : -top - 1, *dtype);
  }
  if (name == "Ramp" || name == "ramp") {
    if (!need(3)) return nullptr;
    Expr base, stride;
    auto lanes = constant_integer(*node.kids[3]);
    if (!lanes || *lanes < 2 || *lanes > 4096) {
      return context_.fail(DiagnosticKind::bad_argument, node.kids[3]->at,
                           "expected a number of lanes from 2 to 4096");
    }
    if (!read_pair(*node.kids[1], *node.kids[2], expected.element(), &base, &stride) ||
        !reconcile(node, base, stride)) {
      return nullptr;
    }
    if (base->dtype.is_vector() || stride->dtype.is_vector()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "a ramp is made of scalars");
    }
    return make_ramp(base, stride, static_cast<int>(*lanes));
  }
  if (name == "Broadcast" || name == "broadcast") {
    if (!need(2)) return nullptr;
    auto lanes = constant_integer(*node.kids[2]);
    if (!lanes || *lanes < 2 || *lanes > 4096) {
      return context_.fail(DiagnosticKind::bad_argument, node.kids[2]->at,
                           "expected a number of lanes from 2 to 4096");
    }
    Expr value = read(*node.kids[1], expected.element());
    if (value && value->dtype.is_vector()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "a broadcast repeats a scalar");
    }
    return value ? make_broadcast(value, static_cast<int>(*lanes)) : nullptr;
  }
  if (name == "ceildiv") {
    Expr a, b;
    if (!need(2) || !read_pair(*node.kids[1], *node.kids[2], expected, &a, &b)) return nullptr;
    if (!reconcile(node, a, b)) return nullptr;
    if (!a->dtype.is_any_int()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.ceildiv` of `{}`",
                           a->dtype.to_string());
    }
    return ceil_div(a, b);
  }
  ExprKind kind;
  if (find_operator(name, true, &kind)) {
    Expr a, b;
    DType wanted = is_compare(kind) ? DType{} : is_logic(kind) ? dtypes::boolean : expected;
    if (!need(2) || !read_pair(*node.kids[1], *node.kids[2], wanted, &a, &b)) return nullptr;
    return make_operation(node, kind, std::move(a), std::move(b));
  }
  Intrinsic intrinsic;
  if (find_intrinsic(intrinsic_spelling(name), &intrinsic)) {
    return read_intrinsic(node, intrinsic, expected);
  }
  return context_.fail(DiagnosticKind::unknown_name, node.at, "unknown function `T.{}`{}", name,
                       suggest(name, function_names()));
}

Expr ExprReader::read_named_call(const Node& node, Intrinsic intrinsic) {
  // ("dtype", "name", args…), or ("name", args…): int32.
  size_t i = 1;
  DType dtype = dtypes::int32;
  auto is_string = [&](size_t k) {
    return k < node.kids.size() && node.kids[k]->kind == NodeKind::string;
  };
  if (is_string(1) && is_string(2)) {
    bool is_void = node.kids[1]->text.empty() || node.kids[1]->text == "void";
    auto parsed = DType::parse(node.kids[1]->text);
    if (parsed || is_void) {
      dtype = parsed ? *parsed : DType{};
      i = 2;
    }
  }
  if (!is_string(i)) {
    return context_.fail(DiagnosticKind::bad_argument, node.at,
                         "`T.{}` needs the name of a function", intrinsic_name(intrinsic));
  }
  std::string name = node.kids[i]->text;
  std::vector<Expr> args;
  for (++i; i < node.kids.size(); ++i) {
    args.push_back(read(*node.kids[i]));
    if (!args.back()) return nullptr;
  }
  return make_call(intrinsic, dtype, std::move(args), name);
}

Expr ExprReader::read_intrinsic(const Node& node, Intrinsic intrinsic, DType expected) {
  if (intrinsic == Intrinsic::call_extern || intrinsic == Intrinsic::call_packed ||
      intrinsic == Intrinsic::call_program) {
    return read_named_call(node, intrinsic);
  }
  constexpr size_t first = 1;
  if (intrinsic == Intrinsic::reinterpret) {
    if (node.kids.size() != 3) {
      return context_.fail(DiagnosticKind::wrong_arity, node.at,
                           "`T.reinterpret` takes a dtype and a value");
    }
    // ("dtype", value) or (value, "dtype").
    bool dtype_last = node.kids[2]->kind == NodeKind::string;
    std::optional<DType> dtype = read_dtype(*node.kids[dtype_last ? 2 : 1]);
    if (!dtype) return nullptr;
    Expr value = read(*node.kids[dtype_last ? 1 : 2]);
    if (!value) return nullptr;
    if (value->dtype.bits * value->dtype.lanes != dtype->bits * dtype->lanes) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                           "`{}` and `{}` have different widths", value->dtype.to_string(),
                           dtype->to_string());
    }
    return make_call(intrinsic, *dtype, {value});
  }
  int arity = intrinsic_arity(intrinsic);
  size_t count = node.kids.size() - first;
  if (arity >= 0 && count != static_cast<size_t>(arity)) {
    return context_.fail(DiagnosticKind::wrong_arity, node.at,
                         "`T.{}` takes {} arguments, {} are given", intrinsic_name(intrinsic),
                         arity, count);
  }
  if (intrinsic == Intrinsic::check_index) {
    if (node.kids[first + 2]->kind != NodeKind::string) {
      return context_.fail(DiagnosticKind::bad_argument, node.kids[first + 2]->at,
                           "expected the name of an operator");
    }
    Expr index = read(*node.kids[first], dtypes::index);
    Expr extent = read(*node.kids[first + 1], dtypes::index);
    if (!index || !extent) return nullptr;
    const DType dtype = index->dtype;
    return make_call(
        intrinsic, dtype,
        {std::move(index), std::move(extent), make_string(node.kids[first + 2]->text)});
  }
  bool is_host = is_host_intrinsic(intrinsic);
  bool any_dtype =
      is_host || (intrinsic >= Intrinsic::isnan && intrinsic <= Intrinsic::isfinite) ||
      (intrinsic >= Intrinsic::vector_reduce_add && intrinsic <= Intrinsic::vector_reduce_max);
  DType wanted = any_dtype ? DType{} : expected;
  std::vector<Expr> args(count);
  // Literals take the dtype of an operand that is none.
  for (bool literals : {false, true}) {
    for (size_t i = 0; i < count; ++i) {
      if (is_literal(*node.kids[first + i]) != literals) continue;
      args[i] = read(*node.kids[first + i], is_host ? dtypes::index : wanted);
      if (!args[i]) return nullptr;
      if (!any_dtype) wanted = args[i]->dtype;
    }
  }
  if (is_host || count == 0) {
    DType dtype = result_of(intrinsic, args);
    return make_call(intrinsic, dtype, std::move(args));
  }
  for (size_t i = 1; i < count; ++i) {
    if (!reconcile(node, args[0], args[i])) return nullptr;
  }
  int lanes = 1;
  for (const Expr& a : args) lanes = std::max<int>(lanes, a->dtype.lanes);
  for (Expr& a : args) {
    if (a->dtype.lanes != lanes) a = make_broadcast(a, lanes);
  }
  DType t = args[0]->dtype;
  bool integers_too = intrinsic == Intrinsic::pow || intrinsic == Intrinsic::abs ||
                      intrinsic >= Intrinsic::popcount;
  if (!t.is_float() && !(integers_too && t.is_any_int())) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.{}` of a value of dtype `{}`",
                         intrinsic_name(intrinsic), t.to_string());
  }
  if (t.is_float() && (intrinsic == Intrinsic::popcount || intrinsic == Intrinsic::clz)) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.{}` of a float",
                         intrinsic_name(intrinsic));
  }
  DType result = result_of(intrinsic, args);
  return make_call(intrinsic, result, std::move(args));
}

// ---- Attributes
// ----------------------------------------------------------------------------------

std::optional<Attr> read_attr(ReadContext& context, ExprReader& reader, const Node& node) {
  switch (node.kind) {
    case NodeKind::none:
      return Attr();
    case NodeKind::boolean:
      return Attr(node.text == "True");
    case NodeKind::string:
      return Attr(node.text);
    case NodeKind::list:
    case NodeKind::tuple: {
      AttrList list;
      for (const Node* kid : node.kids) {
        auto item = read_attr(context, reader, *kid);
        if (!item) return std::nullopt;
        list.push_back(std::move(*item));
      }
      return Attr(std::move(list));
    }
    case NodeKind::dict: {
      AttrDict dict;
      for (size_t i = 0; i < node.kids.size(); i += 2) {
        auto key = read_attr(context, reader, *node.kids[i]);
        auto value = key ? read_attr(context, reader, *node.kids[i + 1]) : std::nullopt;
        if (!value) return std::nullopt;
        dict.emplace_back(std::move(*key), std::move(*value));
      }
      return Attr(std::move(dict));
    }
    default:
      break;
  }
  if (is_literal(node)) {
    bool negative = false;
    if (literal_of(node, &negative).kind != NodeKind::integer) return Attr(real_value(node));
    auto value = constant_integer(node);
    if (value) return Attr(*value);
    context.fail(DiagnosticKind::bad_literal, node.at, "this integer doesn't fit 64 bits");
    return std::nullopt;
  }
  if (node.kind == NodeKind::call) {
    std::string callee = dotted_name(*node.kids[0]);
    if (callee == "R.dtype" || callee == "T.dtype") {
      auto dtype = reader.read_dtype(node);
      if (!dtype) return std::nullopt;
      return Attr(*dtype);
    }
    if (callee == "R.str" && node.kids.size() == 2 && node.kids[1]->kind == NodeKind::string) {
      return Attr(node.kids[1]->text);
    }
    if (callee == "T.index_map" && node.kids.size() == 2 &&
        node.kids[1]->kind == NodeKind::lambda) {
      return Attr(AttrDict{{Attr("index_map"), Attr(node.kids[1]->text)}});
    }
    if (callee == "I.vdevice") {
      AttrDict dict{
          {Attr("vdevice"), Attr("")}, {Attr("index"), Attr(0)}, {Attr("scope"), Attr("global")}};
      for (size_t i = 1; i < node.kids.size() && i <= dict.size(); ++i) {
        auto value = read_attr(context, reader, *node.kids[i]);
        if (!value) return std::nullopt;
        dict[i - 1].second = std::move(*value);
      }
      return Attr(std::move(dict));
    }
  }
  Expr e = reader.read(node);
  if (!e) return std::nullopt;
  return Attr(e);
}

bool read_attr_dict(ReadContext& context, ExprReader& reader, const Node& node, Attrs* attrs) {
  if (node.kind != NodeKind::dict) {
    context.fail(DiagnosticKind::bad_argument, node.at, "expected a dictionary");
    return false;
  }
  for (size_t i = 0; i < node.kids.size(); i += 2) {
    if (node.kids[i]->kind != NodeKind::string) {
      context.fail(DiagnosticKind::bad_argument, node.kids[i]->at, "expected a string as key");
      return false;
    }
    auto value = read_attr(context, reader, *node.kids[i + 1]);
    if (!value) return false;
    std::string key = node.kids[i]->text;
    if (key.starts_with("tirx.")) key = "tir." + key.substr(5);
    attrs->set(std::move(key), std::move(*value));
  }
  return true;
}

}  // namespace repose::script
