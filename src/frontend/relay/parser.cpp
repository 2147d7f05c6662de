// Relay's grammar, by recursive descent.
#include "frontend/relay/parser.h"

#include <charconv>
#include <cmath>

#include "frontend/relay/lexer.h"

namespace repose::relay {

namespace {

constexpr int max_depth = 256;

struct Failed {
  Diagnostic problem;
};

// The suffix of a literal is its dtype: 1f, 2i64, 3f16; without one it is int32.
struct Literal {
  double number = 0;
  int64_t integer = 0;
  DType dtype;
};
std::optional<Literal> parse_literal(const std::string& text) {
  Literal value;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value.number);
  if (parsed.ec != std::errc()) return std::nullopt;
  const std::string digits(text.data(), parsed.ptr), suffix(parsed.ptr, end);
  const bool is_integer = digits.find_first_not_of("0123456789") == std::string::npos;
  if (suffix.empty()) {
    value.dtype = is_integer ? dtypes::int32 : dtypes::float32;
  } else if (suffix == "f") {
    value.dtype = dtypes::float32;
  } else {
    static constexpr std::pair<char, const char*> kinds[] = {
        {'f', "float"}, {'i', "int"}, {'u', "uint"}};
    for (const auto& [letter, name] : kinds) {
      if (suffix[0] != letter) continue;
      if (const auto dtype = DType::parse(name + suffix.substr(1))) value.dtype = *dtype;
    }
  }
  if (!value.dtype || (value.dtype.is_any_int() && !is_integer)) return std::nullopt;
  if (is_integer) {
    const auto whole = std::from_chars(digits.data(), digits.data() + digits.size(), value.integer);
    if (whole.ec != std::errc()) return std::nullopt;
  }
  return value;
}

class ProgramParser {
 public:
  explicit ProgramParser(const Ref<const Source>& source) : source_(source), lexer_(source->text) {
    token_ = lexer_.next();
    ahead_ = lexer_.next();
  }

  Program program() {
    Program program;
    std::vector<Param> free;
    while (token_.is_name("free_var")) {
      take();
      Param p{expect(TokenKind::local, "a variable").text, {}, token_.at};
      expect(":");
      p.type = type();
      expect(";");
      free.push_back(std::move(p));
    }
    while (token_.kind != TokenKind::end) {
      if (token_.is_name("def") && free.empty()) {
        take();
        const Token name = expect(TokenKind::global, "`@` and a name");
        program.functions.push_back({name.text, function(name.at)});
        continue;
      }
      if (!program.functions.empty()) fail("expected `def`, found {}", found());
      program.functions.push_back({"main", whole(std::move(free))});
      free.clear();
      if (token_.kind != TokenKind::end) fail("expected the end of the text, found {}", found());
    }
    if (program.functions.empty()) fail("the text has no function");
    return program;
  }

 private:
  Ref<const Source> source_;
  Lexer lexer_;
  Token token_, ahead_;
  int depth_ = 0;

  // ---- Tokens

  template <class... Args>
  [[noreturn]] void fail_at(DiagnosticKind kind, const Place& at, fmt::format_string<Args...> text,
                            Args&&... args) {
    throw Failed{error(kind, Span{source_, at.line, at.column}, text, std::forward<Args>(args)...)};
  }
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
    if (token_.kind == TokenKind::bad) {
      fail_at(DiagnosticKind::syntax, token_.at, "{}", token_.text);
    }
    fail_at(DiagnosticKind::syntax, token_.at, text, std::forward<Args>(args)...);
  }
  template <class... Args>
  [[noreturn]] void refuse(const Place& at, fmt::format_string<Args...> text, Args&&... args) {
    fail_at(DiagnosticKind::unsupported_feature, at, text, std::forward<Args>(args)...);
  }

  std::string found() const {
    if (token_.kind == TokenKind::end) return "the end of the text";
    const char* sign = token_.kind == TokenKind::local    ? "%"
                       : token_.kind == TokenKind::global ? "@"
                                                          : "";
    return "`" + (sign + token_.text) + "`";
  }

  Token take() {
    Token t = std::move(token_);
    token_ = std::move(ahead_);
    ahead_ = lexer_.next();
    return t;
  }
  bool accept(std::string_view symbol) {
    if (!token_.is(symbol)) return false;
    take();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) fail("expected `{}`, found {}", symbol, found());
  }
  Token expect(TokenKind kind, std::string_view what) {
    if (token_.kind != kind) fail("expected {}, found {}", what, found());
    return take();
  }
  int64_t integer() {
    const Token t = expect(TokenKind::number, "a number");
    const auto value = parse_literal(t.text);
    if (!value || !value->dtype.is_any_int()) {
      fail_at(DiagnosticKind::bad_literal, t.at, "`{}` is no integer", t.text);
    }
    return value->integer;
  }
  // Elements up to `end`, with commas between them.
  template <class Element>
  void list(std::string_view end, Element element) {
    while (!token_.is(end)) {
      element();
      if (!accept(",")) break;
    }
    expect(end);
  }

  class Nesting {
   public:
    explicit Nesting(ProgramParser& parser) : parser_(parser) {
      if (++parser_.depth_ > max_depth) {
        parser_.fail_at(DiagnosticKind::nesting_too_deep, parser_.token_.at,
                        "expressions nest more than {} deep", max_depth);
      }
    }
    ~Nesting() { --parser_.depth_; }

   private:
    ProgramParser& parser_;
  };

  // ---- Types

  RelayType::Dim dim() {
    RelayType::Dim d;
    if (accept("?")) return d;
    if (token_.kind == TokenKind::name || token_.kind == TokenKind::local) {
      d.name = take().text;
      if (d.name == "Any") d.name.clear();
      return d;
    }
    d.size = integer();
    return d;
  }

  RelayType type() {
    const Nesting nesting(*this);
    RelayType t;
    t.at = token_.at;
    if (accept("(")) {
      t.kind = RelayType::Kind::tuple;
      list(")", [&] { t.fields.push_back(type()); });
      return t;
    }
    const Token name = expect(TokenKind::name, "a type");
    if (name.text == "fn") {
      t.kind = RelayType::Kind::function;
      expect("(");
      list(")", [&] { t.fields.push_back(type()); });
      expect("->");
      t.fields.push_back(type());
      return t;
    }
    if (name.text != "Tensor") {
      t.dtype = dtype(name);
      return t;
    }
    expect("[");
    if (accept("(")) {
      list(")", [&] { t.dims.push_back(dim()); });
    } else {
      refuse(token_.at, "a tensor of unknown rank");
    }
    expect(",");
    t.dtype = dtype(expect(TokenKind::name, "a dtype"));
    expect("]");
    return t;
  }

  DType dtype(const Token& name) {
    const auto parsed = DType::parse(name.text);
    if (parsed && !parsed->is_vector() && !parsed->is_index() && !parsed->is_handle()) {
      return *parsed;
    }
    refuse(name.at, "`{}` is no type of tensors, tuples and functions", name.text);
  }

  // ---- Functions

  // What stands behind `fn` or `def @f`.
  ExprRef function(const Place& at) {
    const Nesting nesting(*this);
    auto f = std::make_shared<ExprNode>();
    f->kind = ExprKind::closure;
    f->at = at;
    if (token_.is("[")) refuse(token_.at, "a function with parameters for types");
    expect("(");
    list(")", [&] {
      if (token_.kind == TokenKind::name) return attribute(f->attrs);
      const Token name = expect(TokenKind::local, "a parameter");
      Param p{name.text, {}, name.at};
      if (!accept(":")) refuse(name.at, "the parameter `%{}` has no type", name.text);
      p.type = type();
      f->params.push_back(std::move(p));
    });
    if (accept("->")) f->result = type();
    f->bodies.push_back(braces());
    return f;
  }

  // An expression as a function: of the free variables alone, or in front of its own parameters.
  ExprRef whole(std::vector<Param> free) {
    const Place at = token_.at;
    Body body = statements("");
    const bool is_function = body.statements.empty() && body.result->kind == ExprKind::closure;
    auto f = is_function ? std::make_shared<ExprNode>(*body.result) : std::make_shared<ExprNode>();
    if (!is_function) {
      f->kind = ExprKind::closure;
      f->at = at;
      f->bodies.push_back(std::move(body));
    }
    f->params.insert(f->params.begin(), free.begin(), free.end());
    return f;
  }

  Body braces() {
    expect("{");
    Body body = statements("}");
    expect("}");
    return body;
  }

  Body statements(std::string_view end) {
    const Nesting nesting(*this);
    Body body;
    for (;;) {
      const bool is_let = token_.is_name("let");
      if (is_let) take();
      if (!is_let && !(token_.kind == TokenKind::local && ahead_.is("="))) break;
      Statement s;
      const Token name = expect(TokenKind::local, "a variable");
      s.name = name.text;
      s.at = name.at;
      if (accept(":")) s.type = type();
      expect("=");
      s.value = expression();
      expect(";");
      body.statements.push_back(std::move(s));
    }
    if (token_.is(end)) {
      auto nothing = std::make_shared<ExprNode>();
      nothing->kind = ExprKind::tuple;
      nothing->at = token_.at;
      body.result = nothing;
    } else {
      body.result = expression();
    }
    return body;
  }

  // ---- Expressions

  static std::shared_ptr<ExprNode> node(ExprKind kind, const Place& at) {
    auto n = std::make_shared<ExprNode>();
    n->kind = kind;
    n->at = at;
    return n;
  }

  ExprRef operation(const char* name, const Place& at, ExprRef a, ExprRef b) {
    auto op = node(ExprKind::operator_, at);
    op->name = name;
    auto call = node(ExprKind::call, at);
    call->args = {op, std::move(a), std::move(b)};
    return call;
  }

  ExprRef expression() {
    const Nesting nesting(*this);
    return binary(0);
  }

  // Comparisons, sums, products.
  ExprRef binary(int level) {
    struct Sign {
      const char *text, *name;
      int level;
    };
    static constexpr Sign signs[] = {{"==", "equal", 0},      {"!=", "not_equal", 0},
                                     {"<=", "less_equal", 0}, {">=", "greater_equal", 0},
                                     {"<", "less", 0},        {">", "greater", 0},
                                     {"+", "add", 1},         {"-", "subtract", 1},
                                     {"*", "multiply", 2},    {"/", "divide", 2}};
    if (level > 2) return postfix();
    ExprRef left = binary(level + 1);
    for (bool more = true; more;) {
      more = false;
      for (const Sign& sign : signs) {
        if (sign.level != level || !token_.is(sign.text)) continue;
        const Place at = take().at;
        left = operation(sign.name, at, left, binary(level + 1));
        more = true;
        break;
      }
    }
    return left;
  }

  ExprRef postfix() {
    ExprRef e = primary();
    for (;;) {
      const Place at = token_.at;
      if (accept("(")) {
        auto call = node(ExprKind::call, e->at);
        call->args.push_back(e);
        list(")", [&] {
          if (token_.kind == TokenKind::name && ahead_.is("=")) return attribute(call->attrs);
          call->args.push_back(expression());
        });
        e = call;
      } else if (accept(".")) {
        auto get = node(ExprKind::projection, at);
        get->args.push_back(e);
        get->index = static_cast<int>(std::min<int64_t>(integer(), 1 << 20));
        e = get;
      } else {
        return e;
      }
    }
  }

  ExprRef primary() {
    const Place at = token_.at;
    switch (token_.kind) {
      case TokenKind::local:
      case TokenKind::global: {
        auto n =
            node(token_.kind == TokenKind::local ? ExprKind::variable : ExprKind::function_, at);
        n->name = take().text;
        return n;
      }
      case TokenKind::number:
        return literal(false);
      case TokenKind::name:
        return named();
      case TokenKind::symbol:
        break;
      default:
        fail("expected an expression, found {}", found());
    }
    if (accept("-")) {
      if (token_.kind == TokenKind::number) return literal(true);
      auto op = node(ExprKind::operator_, at);
      op->name = "negative";
      auto call = node(ExprKind::call, at);
      call->args = {op, postfix()};
      return call;
    }
    if (token_.is("{")) {
      auto block = node(ExprKind::block, at);
      block->bodies.push_back(braces());
      return block;
    }
    if (accept("(")) return parenthesised(at);
    fail("expected an expression, found {}", found());
  }

  // (a) is a; (a,), (a, b) and () are tuples. Statements may stand in front of the only one.
  ExprRef parenthesised(const Place& at) {
    auto tuple = node(ExprKind::tuple, at);
    if (accept(")")) return tuple;
    if (token_.is_name("let") || (token_.kind == TokenKind::local && ahead_.is("="))) {
      auto block = node(ExprKind::block, at);
      block->bodies.push_back(statements(")"));
      expect(")");
      return block;
    }
    tuple->args.push_back(expression());
    if (accept(")")) return tuple->args[0];
    expect(",");
    list(")", [&] { tuple->args.push_back(expression()); });
    return tuple;
  }

  ExprRef literal(bool is_negative) {
    const Token t = take();
    const auto value = parse_literal(t.text);
    if (!value) fail_at(DiagnosticKind::bad_literal, t.at, "`{}` is no number", t.text);
    auto n = node(ExprKind::literal, t.at);
    const double sign = is_negative ? -1 : 1;
    n->value = value->dtype.is_float()
                   ? Scalar::of_float(sign * value->number, value->dtype)
                   : Scalar::of_int(is_negative ? -value->integer : value->integer, value->dtype);
    return n;
  }

  ExprRef named() {
    const Token t = take();
    if (t.text == "fn") return function(t.at);
    if (t.text == "if") return choice(t.at);
    if (t.text == "True" || t.text == "False") {
      auto n = node(ExprKind::literal, t.at);
      n->value = Scalar::of_int(t.text == "True", dtypes::boolean);
      return n;
    }
    if (t.text == "meta") {
      refuse(t.at, "`meta[…]` refers to data that isn't in the text; make it a parameter");
    }
    for (const char* word : {"match", "ref", "ref_read", "ref_write", "type", "extern"}) {
      if (t.text == word) refuse(t.at, "`{}` isn't supported", word);
    }
    auto n = node(ExprKind::operator_, t.at);
    n->name = t.text;
    return n;
  }

  ExprRef choice(const Place& at) {
    const Nesting nesting(*this);
    auto n = node(ExprKind::if_, at);
    expect("(");
    n->args.push_back(expression());
    expect(")");
    n->bodies.push_back(braces());
    if (!token_.is_name("else")) fail("expected `else`, found {}", found());
    take();
    if (token_.is_name("if")) {
      const Place inner = take().at;
      n->bodies.push_back({{}, choice(inner)});
    } else {
      n->bodies.push_back(braces());
    }
    return n;
  }

  // ---- Attributes

  void attribute(Attrs& attrs) {
    const Token name = expect(TokenKind::name, "the name of an attribute");
    expect("=");
    attrs.set(name.text, attribute_value());
  }

  Attr attribute_value() {
    const Nesting nesting(*this);
    const Token t = take();
    if (t.kind == TokenKind::string) return Attr(t.text);
    if (t.is("[") || t.is("(")) {
      AttrList values;
      list(t.is("[") ? "]" : ")", [&] { values.push_back(attribute_value()); });
      return Attr(std::move(values));
    }
    const bool is_negative = t.is("-");
    const Token n = is_negative ? take() : t;
    if (n.kind == TokenKind::number) {
      const auto value = parse_literal(n.text);
      if (!value) fail_at(DiagnosticKind::bad_literal, n.at, "`{}` is no number", n.text);
      if (value->dtype.is_float()) return Attr(is_negative ? -value->number : value->number);
      return Attr(is_negative ? -value->integer : value->integer);
    }
    if (t.is_name("None")) return Attr();
    if (t.is_name("True") || t.is_name("False")) return Attr(t.text == "True");
    if (t.kind == TokenKind::name && t.text != "meta") return Attr(t.text);
    refuse(t.at, "the value `{}` of an attribute", t.text);
  }
};

}  // namespace

Result<Program> parse_program(const Ref<const Source>& text) {
  try {
    return ProgramParser(text).program();
  } catch (Failed& failed) {
    return failed.problem;
  }
}

bool looks_like_relay(std::string_view start) {
  Lexer lexer(start);
  const Token first = lexer.next(), second = lexer.next();
  if (first.kind == TokenKind::local && second.is("=")) return true;
  return (first.is_name("def") && second.kind == TokenKind::global) ||
         (first.is_name("fn") && second.is("(")) ||
         (first.is_name("free_var") || first.is_name("let"));
}

}  // namespace repose::relay
