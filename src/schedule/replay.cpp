// Steps from text: their syntax, their names, and calls of the primitives they name.
#include "schedule/replay.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <type_traits>

#include "schedule/primitives.h"
#include "schedule/step_syntax.h"
#include "script/read_expr.h"

namespace repose::schedule {

using script::Node;
using script::NodeKind;

namespace {

// ---- Names --------------------------------------------------------------------------------------

using Bindings = std::map<std::string, Arg>;

// What a name stands for as a loop, as a block and as a buffer: a block may have the name of one of
// the others. Nothing: there is none of the kind.
std::optional<Arg> find(const Scheduled& s, const std::string& name, const Loop*) {
  if (auto loop = loop_named(s, name)) return *loop;
  if (name == "root") return Loop{};
  return std::nullopt;
}
std::optional<Arg> find(const Scheduled& s, const std::string& name, const Block*) {
  if (find_block(s, Block{name})) return Block{name};
  return std::nullopt;
}
std::optional<Arg> find(const Scheduled& s, const std::string& name, const Buffer*) {
  if (auto buffer = buffer_named(s, name)) return *buffer;
  return std::nullopt;
}

// The names of all that are of the kind.
std::vector<std::string> names_of(const Scheduled& s, const Loop*) {
  std::vector<std::string> names;
  tir::visit_stmts(s.func->body, [&](const tir::Stmt& at) {
    if (const auto* loop = tir::as<tir::ForNode>(at)) names.push_back(loop->var->name);
    return true;
  });
  return names;
}
std::vector<std::string> names_of(const Scheduled& s, const Block*) {
  std::vector<std::string> names;
  for (const tir::BlockNode* block : blocks_in(s.func->body)) names.push_back(block->name);
  return names;
}
std::vector<std::string> names_of(const Scheduled& s, const Buffer*) {
  std::vector<std::string> names;
  for (const tir::Param& p : s.func->params) {
    if (p.buffer) names.push_back(p.buffer->name);
  }
  tir::visit_stmts(s.func->body, [&](const tir::Stmt& at) {
    if (const auto* made = tir::as<tir::AllocateNode>(at)) names.push_back(made->buffer->name);
    return true;
  });
  return names;
}

// What it stands for where a T may be meant, else what else it is.
template <class T>
std::optional<Arg> find(const Scheduled& s, const Bindings& bound, const std::string& name) {
  if (auto it = bound.find(name); it != bound.end()) return it->second;
  const T* kind = nullptr;
  if (auto found = find(s, name, kind)) return found;
  if (auto found = find(s, name, static_cast<const Loop*>(nullptr))) return found;
  if (auto found = find(s, name, static_cast<const Block*>(nullptr))) return found;
  return find(s, name, static_cast<const Buffer*>(nullptr));
}

// What an expression of a step may mention: the program's scalars, and what is bound around `at`.
class ScalarNames : public script::NameScope {
 public:
  ScalarNames(script::ReadContext& context, const Scheduled& s, const Bindings& bound,
              const tir::StmtNode* at)
      : context_(context), s_(s), bound_(bound) {
    for (const Var& v : tir::bound_symbols(*s.func)) variables_.push_back(v);
    for (const tir::Param& p : s.func->params) {
      if (!p.buffer) variables_.push_back(p.var);
    }
    for (const tir::Stmt& around : path_to(s.func->body, at)) {
      if (around.get() == at) break;
      if (const auto* loop = tir::as<tir::ForNode>(around)) variables_.push_back(loop->var);
      if (const auto* let = tir::as<tir::LetNode>(around)) variables_.push_back(let->var);
    }
  }

  // Variables that hide others of their name.
  std::vector<Var> own;

  Expr find_variable(const Node& name) override {
    for (const Var& v : own) {
      if (v->name == name.text) return v;
    }
    auto bound = bound_.find(name.text);
    const Loop* loop = bound == bound_.end() ? nullptr : std::get_if<Loop>(&bound->second);
    for (size_t i = variables_.size(); i-- > 0;) {
      const Var& v = variables_[i];
      if (loop ? v == loop->var : v->name == name.text) return v;
    }
    return nullptr;
  }

  bool explain(const Node& name) override {
    const std::optional<Arg> found = find<Loop>(s_, bound_, name.text);
    if (!found) return false;
    if (std::holds_alternative<Loop>(*found)) {
      context_.fail(DiagnosticKind::unknown_name, name.at,
                    "`{}` has no value here: that loop does not stand around", name.text);
    } else {
      context_.fail(DiagnosticKind::type_mismatch, name.at, "`{}` is no number", name.text);
    }
    return true;
  }

  std::vector<std::string> candidates() const override {
    std::vector<std::string> names;
    for (const Var& v : own) names.push_back(v->name);
    for (const Var& v : variables_) names.push_back(v->name);
    return names;
  }

 private:
  script::ReadContext& context_;
  const Scheduled& s_;
  const Bindings& bound_;
  std::vector<Var> variables_;
};

// ---- Words --------------------------------------------------------------------------------------

struct ScopeWord {
  const char* text;
  Scope value;
};
constexpr ScopeWord scopes[] = {{"local", Scope::local}, {"workspace", Scope::workspace}};

template <class T>
constexpr const char* kind_of = "";
template <>
constexpr const char* kind_of<Loop> = "loop";
template <>
constexpr const char* kind_of<Block> = "block";
template <>
constexpr const char* kind_of<Buffer> = "buffer";
template <>
constexpr const char* kind_of<Expr> = "expression";
template <>
constexpr const char* kind_of<Tail> = "tail";
template <>
constexpr const char* kind_of<Scope> = "scope";
template <>
constexpr const char* kind_of<std::vector<Loop>> = "list of loops";
template <>
constexpr const char* kind_of<IndexMap> = "map of subscripts";

std::string with_article(const std::string& kind) {
  return (std::string("aeiou").find(kind[0]) == std::string::npos ? "a " : "an ") + kind;
}

// "a loop, an expression and a tail"; "nothing".
std::string listed(const std::vector<std::string>& parts) {
  if (parts.empty()) return "nothing";
  if (parts.size() == 1) return parts[0];
  return fmt::format("{} and {}", fmt::join(parts.begin(), parts.end() - 1, ", "), parts.back());
}

// Expressions are indices; of these primitives they are conditions.
constexpr std::string_view with_conditions[] = {"specialize", "fuse_either"};

// ---- Calls --------------------------------------------------------------------------------------

// One call of a primitive: its arguments from syntax to values, its results.
class Call {
 public:
  Call(Scheduled& s, const Bindings& bound, script::ReadContext& context, const ParsedStep& step)
      : s_(s), bound_(bound), context_(context), step_(step), name_(step.primitive->text) {}

  std::vector<Arg> results;

  // False where an error was reported.
  template <class R, class... P>
  bool run(Result<R> (*primitive)(Scheduled&, P...)) {
    takes_ = {with_article(kind_of<std::decay_t<P>>)...};
    if (step_.args.size() != sizeof...(P)) return wrong_arguments(*step_.primitive);
    std::tuple<std::decay_t<P>...> args{};
    size_t i = 0;
    const bool read_all =
        std::apply([&](auto&... arg) { return (read(*step_.args[i++], arg) && ...); }, args);
    if (!read_all) return false;
    Result<R> done = std::apply([&](const auto&... arg) { return primitive(s_, arg...); }, args);
    if (!done.ok()) return report(done.errors());
    if constexpr (!std::is_void_v<R>) take(*done);
    return true;
  }

 private:
  Scheduled& s_;
  const Bindings& bound_;
  script::ReadContext& context_;
  const ParsedStep& step_;
  const std::string& name_;
  std::vector<std::string> takes_;
  const tir::StmtNode* at_ = nullptr;  // the last loop or block that was read

  bool refuse(DiagnosticKind kind, const script::Position& at, std::string text) {
    context_.fail(kind, at, "{}", text);
    return false;
  }
  bool report(Diagnostics errors) {
    for (Diagnostic& d : errors) {
      if (!d.span) d.span = context_.span(*step_.primitive);
    }
    context_.report(errors);
    return false;
  }

  std::string described(const Node& arg) const {
    if (script::is_list(arg)) return "a list";
    if (arg.kind == NodeKind::string) return "a string";
    if (arg.kind == NodeKind::lambda) return "a map";
    if (arg.kind != NodeKind::name) return "an expression";
    const std::optional<Arg> found = find<Loop>(s_, bound_, arg.text);
    if (!found) return fmt::format("`{}`", arg.text);
    const char* kind = std::holds_alternative<Loop>(*found)    ? "loop"
                       : std::holds_alternative<Block>(*found) ? "block"
                                                               : "buffer";
    return fmt::format("the {} `{}`", kind, arg.text);
  }
  bool wrong_arguments(const Node& at) {
    std::vector<std::string> given;
    for (const Node* arg : step_.args) given.push_back(described(*arg));
    return refuse(DiagnosticKind::bad_argument, at.at,
                  fmt::format("`{}` takes {}, got {}", name_, listed(takes_), listed(given)));
  }

  // Of a list; `(i)` is the only one of its own.
  static std::vector<Node*> elements(Node* node) {
    return script::is_list(*node) ? node->kids : std::vector<Node*>{node};
  }
  static bool is_no_scalar(const Node& node) {
    return script::is_list(node) || node.kind == NodeKind::string || node.kind == NodeKind::lambda;
  }

  template <class T>
  bool read(const Node& node, T& value) {
    if (node.kind != NodeKind::name) return wrong_arguments(node);
    const std::optional<Arg> found = find<T>(s_, bound_, node.text);
    if (!found || !is_there(*found)) {
      return refuse(
          DiagnosticKind::unknown_name, node.at,
          fmt::format("there is no {} `{}`{}{}", kind_of<T>, node.text, found ? " any more" : "",
                      context_.hint(node.text, [&] { return names<T>(); })));
    }
    const T* fitting = std::get_if<T>(&*found);
    if (!fitting) return wrong_arguments(node);
    value = *fitting;
    return true;
  }
  bool read(const Node& node, std::vector<Loop>& loops) {
    if (!script::is_list(node)) return wrong_arguments(node);
    return std::all_of(node.kids.begin(), node.kids.end(),
                       [&](const Node* kid) { return read(*kid, loops.emplace_back()); });
  }
  bool read(const Node& node, Expr& e) {
    if (is_no_scalar(node)) return wrong_arguments(node);
    ScalarNames names(context_, s_, bound_, at_);
    script::ExprReader reader(context_, names);
    const bool is_condition = std::find(std::begin(with_conditions), std::end(with_conditions),
                                        name_) != std::end(with_conditions);
    e = is_condition ? reader.scalar(node, reader.read_condition(node)) : reader.read_index(node);
    return e && has_value(node, e);
  }
  // No divisor is zero.
  bool has_value(const Node& node, const Expr& e) {
    const Facts facts = at_ ? facts_at(s_, at_) : facts_everywhere(s_);
    Expr divisor;
    visit(e, [&](const Expr& part) {
      const bool divides = part->kind == ExprKind::floor_div || part->kind == ExprKind::floor_mod;
      if (divides && prove_le(make_int(1), part->args[1], facts) != Truth::yes) {
        divisor = part->args[1];
      }
      return !divisor;
    });
    return !divisor || refuse(DiagnosticKind::bad_argument, node.at,
                              fmt::format("a divisor that may be below 1: {}", to_string(divisor)));
  }
  bool read(const Node& node, IndexMap& map) {
    if (node.kind != NodeKind::lambda || node.kids.size() != 2) return wrong_arguments(node);
    ScalarNames names(context_, s_, bound_, nullptr);
    for (const Node* from : elements(node.kids[0])) {
      if (from->kind != NodeKind::name) {
        return refuse(DiagnosticKind::syntax, from->at, "expected a name for a subscript");
      }
      map.from.push_back(make_var(from->text, dtypes::index, VarRole::loop));
    }
    names.own = map.from;
    script::ExprReader reader(context_, names);
    const std::vector<Node*> to = elements(node.kids[1]);
    return std::all_of(to.begin(), to.end(), [&](const Node* subscript) {
      return map.to.emplace_back(reader.read_index(*subscript)) != nullptr;
    });
  }
  bool read(const Node& node, Tail& tail) { return read_word(node, tail_words, tail); }
  bool read(const Node& node, Scope& scope) { return read_word(node, scopes, scope); }

  template <class Word, size_t n, class T>
  bool read_word(const Node& node, const Word (&words)[n], T& value) {
    if (node.kind != NodeKind::name) return wrong_arguments(node);
    std::vector<std::string> known;
    for (const Word& word : words) {
      known.push_back(fmt::format("`{}`", word.text));
      if (node.text != word.text) continue;
      value = word.value;
      return true;
    }
    return refuse(DiagnosticKind::bad_argument, node.at,
                  fmt::format("`{}` is no {}: there are {}", node.text, kind_of<T>, listed(known)));
  }

  // Is it in the program (still)? Expressions behind it may mention what stands around it.
  bool is_there(const Arg& arg) {
    const tir::StmtNode* at = nullptr;
    if (const auto* loop = std::get_if<Loop>(&arg)) {
      if (!loop->var) return true;  // the root
      at = find_loop(s_, *loop);
    } else if (const auto* block = std::get_if<Block>(&arg)) {
      at = find_block(s_, *block);
    } else {
      return true;
    }
    if (at) at_ = at;
    return at != nullptr;
  }
  template <class T>
  std::vector<std::string> names() const {
    std::vector<std::string> all = names_of(s_, static_cast<const T*>(nullptr));
    for (const auto& [name, value] : bound_) {
      if (std::holds_alternative<T>(value)) all.push_back(name);
    }
    return all;
  }

  void take(const Loop& loop) { results.emplace_back(loop); }
  void take(const Block& block) { results.emplace_back(block); }
  void take(const std::vector<Loop>& loops) { results.assign(loops.begin(), loops.end()); }
};

constexpr std::array primitive_list = {
#define PRIMITIVE(name, effect) Primitive{#name, std::string_view(#effect) == "reassociates"},
#include "schedule/primitives.def"
};

using Run = bool (*)(Call&);
constexpr Run runs[] = {
#define PRIMITIVE(name, effect) [](Call& call) { return call.run(name); },
#include "schedule/primitives.def"
};

bool run(Call& call, const Node& name, script::ReadContext& context) {
  for (size_t i = 0; i < primitive_list.size(); ++i) {
    if (name.text == primitive_list[i].name) return runs[i](call);
  }
  context.fail(DiagnosticKind::unknown_name, name.at, "there is no primitive `{}`{}", name.text,
               context.hint(name.text, [] {
                 std::vector<std::string> known;
                 for (const Primitive& p : primitive_list) known.emplace_back(p.name);
                 return known;
               }));
  return false;
}

}  // namespace

std::span<const Primitive> primitives() {
  return primitive_list;
}

bool reassociates(const std::vector<Step>& steps) {
  return std::any_of(steps.begin(), steps.end(), [](const Step& step) {
    return std::any_of(primitive_list.begin(), primitive_list.end(), [&](const Primitive& p) {
      return p.reassociates && step.primitive == p.name;
    });
  });
}

Result<void> Replay::apply(const StepText& step) {
  script::SyntaxTree tree;
  tree.source = step.at.source;
  Diagnostics errors;
  script::ReadContext context{tree, errors};
  ParsedStep parsed;
  if (!parse_step(tree, step, parsed, errors)) return errors;
  Call call(s_, bound_, context, parsed);
  const Scheduled before = s_;
  if (!run(call, *parsed.primitive, context)) return errors;
  if (parsed.names.size() > call.results.size()) {
    s_ = before;
    return error(DiagnosticKind::wrong_arity, context.span(*parsed.names[0]),
                 "{} names left of `=`, `{}` gives {}", parsed.names.size(), parsed.primitive->text,
                 call.results.empty() ? "nothing" : std::to_string(call.results.size()));
  }
  for (size_t i = 0; i < parsed.names.size(); ++i) {
    bound_.insert_or_assign(parsed.names[i]->text, call.results[i]);
  }
  return {};
}

Result<void> replay(Scheduled& s, const std::vector<StepText>& steps) {
  Replay replay(s);
  for (const StepText& step : steps) {
    if (auto done = replay.apply(step); !done.ok()) return done;
  }
  return {};
}

Result<void> replay(Scheduled& s, const Ref<const Source>& text) {
  return replay(s, steps_in(text));
}

}  // namespace repose::schedule
