// Prints scalar expressions with Python's operators and precedence.
#include "expr/print.h"

#include <charconv>
#include <cmath>

#include "expr/scalar.h"

namespace repose {

namespace {

// Python's levels of binding, loosest first.
enum Level {
  level_or = 1,
  level_and,
  level_not,
  level_compare,
  level_bit_or,
  level_bit_xor,
  level_bit_and,
  level_shift,
  level_sum,
  level_product,
  level_unary,
  level_atom,
};

// The level of a kind that is printed with its operator; level_atom for everything else.
Level level_of(ExprKind kind, DType operand) {
  switch (kind) {
    case ExprKind::logical_or:
      return level_or;
    case ExprKind::logical_and:
      return level_and;
    case ExprKind::bit_or:
      return level_bit_or;
    case ExprKind::bit_xor:
      return level_bit_xor;
    case ExprKind::bit_and:
      return level_bit_and;
    case ExprKind::shift_left:
    case ExprKind::shift_right:
      return level_shift;
    case ExprKind::add:
    case ExprKind::sub:
      return level_sum;
    case ExprKind::mul:
    case ExprKind::floor_div:
    case ExprKind::floor_mod:
      return level_product;
    case ExprKind::div:
      return operand.is_float() ? level_product : level_atom;
    default:
      return is_compare(kind) ? level_compare : level_atom;
  }
}

class Printer {
 public:
  explicit Printer(const PrintNames& names) : names_(names) {}

  void print(const Expr& e, int context) {
    switch (e->kind) {
      case ExprKind::int_imm:
        return print_int(e, context);
      case ExprKind::float_imm:
        out += "T." + e->dtype.to_string() + "(" +
               print_float(as<FloatImmNode>(e)->value, e->dtype) + ")";
        return;
      case ExprKind::string_imm:
        out += print_string(as<StringImmNode>(e)->value);
        return;
      case ExprKind::var: {
        const auto* v = as<VarNode>(e);
        out += names_.var ? names_.var(*v) : v->name;
        return;
      }
      case ExprKind::load: {
        const Buffer& buffer = as<LoadNode>(e)->buffer;
        out += names_.buffer ? names_.buffer(*buffer) : buffer->name;
        out += "[";
        if (e->args.empty()) out += "()";
        list(e->args);
        out += "]";
        return;
      }
      case ExprKind::call:
        return print_call(e);
      case ExprKind::cast:
        return function("Cast", print_string(e->dtype.to_string()), e->args, "");
      case ExprKind::logical_not:
        return prefix("not ", level_not, e->args[0], context);
      case ExprKind::bit_not:
        return prefix("~", level_unary, e->args[0], context);
      case ExprKind::select:
        return function("Select", "", e->args, "");
      case ExprKind::if_then_else:
        return function("if_then_else", "", e->args, "");
      case ExprKind::ramp:
        return function("Ramp", "", e->args, std::to_string(e->dtype.lanes));
      case ExprKind::broadcast:
        return function("Broadcast", "", e->args, std::to_string(e->dtype.lanes));
      case ExprKind::div:
        if (!e->args[0]->dtype.is_float()) return function("truncdiv", "", e->args, "");
        break;
      case ExprKind::mod:
        return function("truncmod", "", e->args, "");
      case ExprKind::min:
      case ExprKind::max:
        return function(kind_spelling(e->kind), "", e->args, "");
      default:
        break;
    }
    print_operator(e, context);
  }

  void list(const std::vector<Expr>& args) {
    for (size_t i = 0; i < args.size(); ++i) {
      if (i) out += ", ";
      print(args[i], 0);
    }
  }

  std::string out;

 private:
  void print_int(const Expr& e, int context) {
    int64_t value = as<IntImmNode>(e)->value;
    std::string digits =
        e->dtype.is_uint() ? std::to_string(static_cast<uint64_t>(value)) : std::to_string(value);
    if (e->dtype.is_bool()) {
      out += value ? "T.bool(True)" : "T.bool(False)";
    } else if (e->dtype.is_index()) {
      bool parens = value < 0 && context > level_unary;
      out += parens ? "(" + digits + ")" : digits;
    } else {
      out += "T." + e->dtype.to_string() + "(" + digits + ")";
    }
  }

  void print_call(const Expr& e) {
    const auto* call = as<CallNode>(e);
    std::string first, last;
    switch (call->intrinsic) {
      case Intrinsic::call_extern:
      case Intrinsic::call_packed:
      case Intrinsic::call_program:
      case Intrinsic::call_runtime:
        first = print_string(e->dtype.to_string()) + ", " + print_string(call->name);
        break;
      case Intrinsic::reinterpret:
        first = print_string(e->dtype.to_string());
        break;
      case Intrinsic::check_index:
        if (!call->name.empty()) last = print_string(call->name);
        break;
      default:
        break;
    }
    function(intrinsic_name(call->intrinsic), first, e->args, last);
  }

  void print_operator(const Expr& e, int context) {
    int level = level_of(e->kind, e->args[0]->dtype);
    bool parens = level < context;
    // Operators of one level associate to the left, except that comparisons would chain.
    int left = level == level_compare ? level + 1 : level;
    if (parens) out += "(";
    print(e->args[0], left);
    out += std::string(" ") + kind_spelling(e->kind) + " ";
    print(e->args[1], level + 1);
    if (parens) out += ")";
  }

  void prefix(const char* spelling, int level, const Expr& operand, int context) {
    bool parens = level < context;
    if (parens) out += "(";
    out += spelling;
    print(operand, level);
    if (parens) out += ")";
  }

  void function(const char* name, const std::string& first, const std::vector<Expr>& args,
                const std::string& last) {
    out += std::string("T.") + name + "(" + first;
    if (!first.empty() && !args.empty()) out += ", ";
    list(args);
    if (!last.empty()) out += ", " + last;
    out += ")";
  }

  const PrintNames& names_;
};

}  // namespace

std::string print_expr(const Expr& e, const PrintNames& names) {
  Printer printer(names);
  printer.print(e, 0);
  return std::move(printer.out);
}

std::string print_exprs(const std::vector<Expr>& list, const PrintNames& names) {
  Printer printer(names);
  printer.list(list);
  return std::move(printer.out);
}

std::string print_string(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;  // UTF-8 as it is
    }
  }
  return out + "\"";
}

std::string print_float(double value, DType dtype) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value < 0 ? "\"-inf\"" : "\"inf\"";
  char buffer[64];
  std::to_chars_result end = std::to_chars(buffer, std::end(buffer), value);
  if (dtype.bits < 64) {
    // Fewer digits name the same number of a narrower format.
    for (int precision = 1; precision <= 9; ++precision) {
      auto attempt =
          std::to_chars(buffer, std::end(buffer), value, std::chars_format::general, precision);
      double back = 0;
      std::from_chars(buffer, attempt.ptr, back);
      if (round_to(dtype, back) == value) {
        end = std::to_chars(buffer, std::end(buffer), back);
        break;
      }
    }
  }
  std::string text(buffer, end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string to_string(const Expr& e) {
  static const PrintNames plain;
  return print_expr(e, plain);
}

std::string to_string(const std::vector<Expr>& list) {
  static const PrintNames plain;
  return "(" + print_exprs(list, plain) + (list.size() == 1 ? ",)" : ")");
}

}  // namespace repose
