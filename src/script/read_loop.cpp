// Loops of tensor programs, and what stands behind `with`: allocations, lets, attributes.
#include <algorithm>

#include "script/read_attr.h"
#include "script/tensor_reader.h"

namespace repose::script {

using tir::Stmt;

bool TensorReader::read_loop_options(const Node& iter, Attrs* annotations, std::string* thread) {
  for (const Keyword& k : iter.keywords) {
    if (k.name == "annotations") {
      if (k.value->kind != NodeKind::none &&
          !read_attr_dict(context_, exprs_, *k.value, annotations)) {
        return false;
      }
    } else if (k.name == "thread" && k.value->kind == NodeKind::string) {
      *thread = k.value->text;
    } else {
      fail(k.at, DiagnosticKind::bad_argument, "a loop has no `{}`", k.name);
      return false;
    }
  }
  return true;
}

// `*A.shape` of a buffer, or of a list.
std::optional<std::vector<Expr>> TensorReader::read_starred(const Node& node) {
  const Node& list = *node.kids[0];
  const bool is_shape = list.kind == NodeKind::attribute && list.text == "shape" &&
                        list.kids[0]->kind == NodeKind::name;
  if (Buffer b = is_shape ? find_buffer(list.kids[0]->text) : nullptr) return b->shape;
  if (is_list(list)) return exprs_.read_shape(list);
  fail(node.at, DiagnosticKind::syntax, "expected `*` and the shape of a buffer, or a list");
  return std::nullopt;
}

// From the first `count` arguments: extents of `T.grid`, or the one range of (extent) or
// (begin, end).
bool TensorReader::read_loop_ranges(const Node& iter, size_t count,
                                    std::vector<tir::Range>* ranges) {
  bool is_grid = callee_name(&iter) == "T.grid";
  if (!is_grid && count > 2) return true;  // the number of ranges will not fit
  if (!is_grid && count == 2) {
    auto range = read_bounds(*iter.kids[1], *iter.kids[2]);
    if (range) ranges->push_back(*range);
    return range.has_value();
  }
  for (size_t i = 1; i <= count; ++i) {
    if (iter.kids[i]->kind == NodeKind::starred) {
      auto extents = read_starred(*iter.kids[i]);
      if (!extents) return false;
      for (Expr& e : *extents) ranges->push_back({make_int(0), std::move(e)});
      continue;
    }
    Expr extent = exprs_.read_index(*iter.kids[i]);
    if (!extent) return false;
    ranges->push_back({make_int(0), extent});
  }
  return true;
}

bool TensorReader::read_for(const Statement& s, StmtSequence& out) {
  const Node& iter = *s.value;
  std::string callee = callee_name(&iter);
  static const std::map<std::string, tir::ForKind> kinds = {
      {"range", tir::ForKind::serial},
      {"T.serial", tir::ForKind::serial},
      {"T.range", tir::ForKind::serial},
      {"T.parallel", tir::ForKind::parallel},
      {"T.vectorized", tir::ForKind::vectorized},
      {"T.unroll", tir::ForKind::unrolled},
      {"T.unrolled", tir::ForKind::unrolled},
      {"T.grid", tir::ForKind::serial},
      {"T.thread_binding", tir::ForKind::thread_binding}};
  auto kind = kinds.find(callee);
  if (kind == kinds.end()) {
    fail(iter.at, DiagnosticKind::syntax,
         "expected `range`, `T.grid` or a loop such as `T.parallel`");
    return false;
  }
  std::vector<Node*> names{s.target};
  if (s.target->kind == NodeKind::tuple) names = s.target->kids;
  Attrs annotations;
  std::string thread;
  if (!read_loop_options(iter, &annotations, &thread)) return false;
  size_t count = iter.kids.size() - 1;
  bool is_thread = kind->second == tir::ForKind::thread_binding;
  if (is_thread && count > 1 && iter.kids[count]->kind == NodeKind::string) {
    thread = iter.kids[count--]->text;
  }
  std::vector<tir::Range> ranges;
  if (!read_loop_ranges(iter, count, &ranges)) return false;
  if (ranges.size() != names.size()) {
    fail(s.at, DiagnosticKind::wrong_arity, "{} loop variables for {} extents", names.size(),
         ranges.size());
    return false;
  }
  scopes_.push();
  std::vector<Var> vars;
  for (const Node* n : names) {
    vars.push_back(make_var(n->text, dtypes::index, VarRole::loop));
    define(n->text, Expr(vars.back()));
    loops_[vars.back().get()] = ranges[vars.size() - 1];
  }
  const OpenLoop flags = flags_of(s);
  const bool is_sequence = kind->second == tir::ForKind::serial && vars.size() == 1;
  if (flags.stop && !is_sequence) {
    fail(s.at, DiagnosticKind::syntax, "`break` stands in a loop whose iterations have no order");
    scopes_.pop();
    return false;
  }
  Stmt body = read_loop_body(s, flags);
  scopes_.pop();
  if (!body) return false;
  for (size_t i = vars.size(); i-- > 0;) {
    body = tir::make<tir::ForNode>(vars[i], ranges[i].min, ranges[i].extent, kind->second, body,
                                   thread, annotations, span(s.at));
  }
  out.add(with_stop(flags, std::move(body), span(s.at)));
  return true;
}

// ---- break, continue

namespace {

// Does a statement leave the loop that it stands in, or this iteration of it?
bool leaves_loop(const Statement& s, SyntaxKind how) {
  if (s.kind == how) return true;
  if (s.kind == SyntaxKind::for_ || s.kind == SyntaxKind::while_) return false;
  auto leaves = [&](const Statement* inner) { return leaves_loop(*inner, how); };
  return std::any_of(s.body.begin(), s.body.end(), leaves) ||
         std::any_of(s.orelse.begin(), s.orelse.end(), leaves);
}

Stmt set_flag(const Buffer& flag, bool value, const Span& at) {
  return tir::make<tir::StoreNode>(flag, std::vector<Expr>{make_int(0)},
                                   make_const(flag->dtype, value), at);
}
Expr is_clear(const Buffer& flag) {
  return eq(make_load(flag, {make_int(0)}), make_const(flag->dtype, 0));
}

}  // namespace

TensorReader::OpenLoop TensorReader::flags_of(const Statement& loop) const {
  auto flag = [&](SyntaxKind how, const char* name) {
    const bool is_set = std::any_of(loop.body.begin(), loop.body.end(),
                                    [&](const Statement* s) { return leaves_loop(*s, how); });
    return is_set ? make_buffer(name, {make_int(1)}, dtypes::int32, Scope::local) : nullptr;
  };
  return {flag(SyntaxKind::break_, "stop"), flag(SyntaxKind::continue_, "skip")};
}

Expr TensorReader::goes_on(const Statement& s) const {
  if (open_loops_.empty()) return nullptr;
  const OpenLoop& loop = open_loops_.back();
  Expr condition;
  if (loop.stop && leaves_loop(s, SyntaxKind::break_)) condition = is_clear(loop.stop);
  if (loop.skip && leaves_loop(s, SyntaxKind::continue_)) {
    condition = condition ? logical_and(condition, is_clear(loop.skip)) : is_clear(loop.skip);
  }
  return condition;
}

// The body of a loop: nothing once `stop` is set, and `skip` is clear at its begin.
Stmt TensorReader::read_loop_body(const Statement& loop, const OpenLoop& flags) {
  open_loops_.push_back(flags);
  Stmt body = read_body(loop.body);
  open_loops_.pop_back();
  if (!body) return nullptr;
  const Span at = span(loop.at);
  if (flags.skip) {
    body = tir::make<tir::AllocateNode>(flags.skip,
                                        tir::make_seq({set_flag(flags.skip, false, at), body}), at);
  }
  const bool is_for = loop.kind == SyntaxKind::for_;
  if (flags.stop && is_for) body = tir::make<tir::IfNode>(is_clear(flags.stop), body, nullptr, at);
  return body;
}

Stmt TensorReader::with_stop(const OpenLoop& flags, Stmt loop, const Span& at) const {
  if (!flags.stop) return loop;
  return tir::make<tir::AllocateNode>(
      flags.stop, tir::make_seq({set_flag(flags.stop, false, at), std::move(loop)}), at);
}

bool TensorReader::read_while(const Statement& s, StmtSequence& out) {
  Expr condition = exprs_.read_condition(*s.value);
  const OpenLoop flags = flags_of(s);
  Stmt body = read_loop_body(s, flags);
  if (!condition || !body) return false;
  if (flags.stop) condition = logical_and(is_clear(flags.stop), condition);
  out.add(with_stop(flags, tir::make<tir::WhileNode>(condition, body, span(s.at)), span(s.at)));
  return true;
}

bool TensorReader::read_leave(const Statement& s, StmtSequence& out) {
  const bool is_break = s.kind == SyntaxKind::break_;
  if (open_loops_.empty()) {
    fail(s.at, DiagnosticKind::syntax, "`{}` stands in no loop", is_break ? "break" : "continue");
    return false;
  }
  const OpenLoop& loop = open_loops_.back();
  out.add(set_flag(is_break ? loop.stop : loop.skip, true, span(s.at)));
  return true;
}

// ---- with

bool TensorReader::read_with(const Statement& s, StmtSequence& out) {
  for (const WithItem& w : s.items) {
    bool is_block = callee_name(w.value) == "T.block" || dotted_name(*w.value) == "T.block";
    if (is_block && s.items.size() == 1) return read_block(s, *w.value, out);
    if (!is_block) continue;
    fail(s.at, DiagnosticKind::syntax, "a block stands alone after `with`");
    return false;
  }
  scopes_.push();
  StmtSequence inner;
  Stmt body;
  bool ok = true;
  for (const WithItem& w : s.items) {
    Wrap wrap = ok ? read_with_item(s, w) : nullptr;
    ok = ok && wrap;
    inner.wrap_rest(std::move(wrap));
  }
  if (ok) body = read_body(s.body);
  scopes_.pop();
  if (!body) return false;
  inner.add(std::move(body));
  out.add(inner.finish());
  return true;
}

// What an item makes of the body. Null: an error was reported.
Wrap TensorReader::read_with_item(const Statement& s, const WithItem& w) {
  const Node& call = *w.value;
  const std::string callee = callee_name(&call);
  const size_t count = callee.empty() ? 0 : call.kids.size() - 1;
  const Span at = span(s.at);
  const bool is_let = callee == "T.LetStmt", is_view = callee == "T.declare_buffer";
  if (is_let || is_view || callee == "T.allocate_buffer" || callee == "T.alloc_buffer") {
    if (!w.target || w.target->kind != NodeKind::name) {
      return fail(s.at, DiagnosticKind::syntax, "expected `as` and a name");
    }
    if ((is_let || is_view) && count == 0) {
      return fail(s.at, DiagnosticKind::wrong_arity, "`{}` takes a {}", callee,
                  is_let ? "value" : "handle and a shape");
    }
    return is_let ? read_with_let(*call.kids[1], w.target->text, at)
                  : read_with_buffer(call, w.target->text, is_view, at);
  }
  if (callee == "T.attr") {
    if (count < 2 || count > 3 || call.kids[count - 1]->kind != NodeKind::string) {
      return fail(s.at, DiagnosticKind::bad_argument, "`T.attr` takes a key and a value");
    }
    Expr value = exprs_.read(*call.kids[count]);
    return value ? wrap_attr(call.kids[count - 1]->text, value, at) : nullptr;
  }
  if (callee == "T.Assert" && count == 2 && call.kids[2]->kind == NodeKind::string) {
    Expr condition = exprs_.read_condition(*call.kids[1]);
    if (!condition) return nullptr;
    Stmt check = tir::make<tir::AssertNode>(condition, call.kids[2]->text, std::vector<Expr>{}, at);
    return [check](Stmt body) { return tir::make_seq({check, std::move(body)}); };
  }
  if (callee == "T.init") return fail(s.at, DiagnosticKind::syntax, "`T.init` belongs in a block");
  return fail(call.at, DiagnosticKind::unknown_name,
              "expected `T.block`, `T.init`, `T.attr`, `T.LetStmt`, `T.allocate_buffer` or "
              "`T.declare_buffer`");
}

Wrap TensorReader::read_with_let(const Node& node, const std::string& name, const Span& at) {
  Expr value = exprs_.read(node);
  if (!value) return nullptr;
  Var var = make_var(name, value->dtype, VarRole::let);
  define(name, Expr(var));
  return wrap_let(var, value, at);
}

Wrap TensorReader::read_with_buffer(const Node& call, const std::string& name, bool is_view,
                                    const Span& at) {
  Expr handle = is_view ? read_handle(*call.kids[1]) : nullptr;
  if (is_view && !handle) return nullptr;
  Buffer b = read_buffer(call, name, is_view ? 2 : 1);
  if (!b) return nullptr;
  define(name, b);
  return wrap_buffer(b, handle, at);
}

}  // namespace repose::script
