// Scalar expressions of the text: names, operators, loads, casts between index and data.
#include "script/read_expr.h"

#include "script/literal.h"
#include "script/operator_names.h"
#include "script/suggest.h"

namespace repose::script {

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
                           context_.hint(node.text, [&] { return names_.candidates(); }));
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

Expr ExprReader::scalar(const Node& node, Expr e) {
  if (!e || !e->dtype.is_vector()) return e;
  return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                       "a vector of dtype `{}`, expected a scalar", e->dtype.to_string());
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
    bool as_stated = !dtype && !is_literal(n);
    return scalar(n, as_stated ? read(n) : read_as(n, dtype ? dtype : dtypes::index));
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
  bool ok = true;
  auto add = [&](const Node& n) {
    Expr e = read_quoted(n);
    ok = ok && e;
    dims.push_back(e);
  };
  if (is_list(node)) {
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
    if (auto kind = operator_of_symbol(n.text)) {
      if (is_compare(*kind)) return {};
      if (is_logic(*kind)) return dtypes::boolean;
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
  auto kind = operator_of_symbol(node.text);
  if (!kind) {
    return context_.fail(DiagnosticKind::syntax, node.at, "`{}` is no operator of scalars",
                         node.text);
  }
  return make_operation(node, *kind, std::move(a), std::move(b));
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

// `A.shape[0]`; null, without an error, where it is something else.
Expr ExprReader::read_extent(const Node& node) {
  const Node& base = *node.kids[0];
  if (base.kind != NodeKind::attribute || base.text != "shape" || node.kids.size() != 2 ||
      base.kids[0]->kind != NodeKind::name) {
    return nullptr;
  }
  const Buffer buffer = names_.find_buffer(base.kids[0]->text);
  const auto axis = constant_integer(*node.kids[1]);
  if (!buffer || !axis) return nullptr;
  const auto rank = static_cast<int64_t>(buffer->shape.size());
  const int64_t i = *axis < 0 ? *axis + rank : *axis;
  return i >= 0 && i < rank ? buffer->shape[static_cast<size_t>(i)] : nullptr;
}

Expr ExprReader::read_load(const Node& node) {
  if (Expr extent = read_extent(node)) return extent;
  const Node& base = *node.kids[0];
  Buffer buffer = base.kind == NodeKind::name ? names_.find_buffer(base.text) : nullptr;
  if (!buffer) {
    if (base.kind == NodeKind::name && !names_.find_variable(base) && names_.explain(base)) {
      return nullptr;
    }
    if (written_name(base).empty()) {
      return context_.fail(DiagnosticKind::syntax, base.at, "expected a buffer before `[`");
    }
    if (base.kind == NodeKind::name && names_.find_variable(base)) {
      return context_.fail(DiagnosticKind::type_mismatch, base.at, "`{}` is no buffer", base.text);
    }
    return context_.fail(DiagnosticKind::unknown_name, base.at, "unknown buffer `{}`{}",
                         written_name(base),
                         context_.hint(base.text, [&] { return names_.candidates(); }));
  }
  std::span<Node* const> given = subscript_indices(node);
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
      e = read_as(*index, dtypes::index);  // a ramp loads a vector
    }
    if (!e) return nullptr;
    indices.push_back(std::move(e));
  }
  return make_load(std::move(buffer), std::move(indices));
}

}  // namespace repose::script
