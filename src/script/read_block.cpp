// Blocks of tensor programs: axes, regions, the predicate, and the body.
#include <algorithm>
#include <unordered_set>

#include "script/read_attr.h"
#include "script/suggest.h"
#include "script/tensor_reader.h"

namespace repose::script {

namespace {

std::optional<tir::IterKind> iter_kind(std::string_view name) {
  static constexpr std::pair<std::string_view, tir::IterKind> kinds[] = {
      {"spatial", tir::IterKind::spatial}, {"S", tir::IterKind::spatial},
      {"reduce", tir::IterKind::reduce},   {"R", tir::IterKind::reduce},
      {"scan", tir::IterKind::scan},       {"opaque", tir::IterKind::opaque}};
  for (const auto& [text, kind] : kinds) {
    if (text == name) return kind;
  }
  return std::nullopt;
}

}  // namespace

void TensorReader::add_axis(const std::string& name, tir::IterKind kind, const tir::Range& range,
                            Expr value, tir::BlockNode::Fields& f) {
  Var var = make_var(name, dtypes::index, VarRole::loop);
  f.iters.push_back({var, range.min, range.extent, kind, std::move(value)});
  define(name, Expr(var));
}

// `v, w = T.axis.remap("SR", [i, j])`: axes that are loops.
bool TensorReader::read_remap(const Statement& s, tir::BlockNode::Fields& f) {
  const Node& call = *s.value;
  std::vector<Node*> targets{s.target};
  if (s.target->kind == NodeKind::tuple) targets = s.target->kids;
  bool shape_ok = call.kids.size() == 3 && call.kids[1]->kind == NodeKind::string &&
                  call.kids[2]->kind == NodeKind::list &&
                  call.kids[1]->text.size() == call.kids[2]->kids.size() &&
                  targets.size() == call.kids[2]->kids.size();
  if (!shape_ok) {
    fail(call.at, DiagnosticKind::bad_argument,
         "expected `T.axis.remap(\"SR…\", [loops])`, one kind and one loop per name");
    return false;
  }
  for (const Node* n : targets) poisoned_.erase(n->text);
  for (size_t i = 0; i < targets.size(); ++i) {
    auto kind = iter_kind(call.kids[1]->text.substr(i, 1));
    if (!kind) {
      fail(call.kids[1]->at, DiagnosticKind::bad_argument, "expected `S` and `R`, found `{}`",
           call.kids[1]->text[i]);
      return false;
    }
    const Node& n = *call.kids[2]->kids[i];
    Expr loop = exprs_.read_index(n);
    if (!loop) return false;
    const auto* v = as<VarNode>(loop);
    auto range = v ? loops_.find(v) : loops_.end();
    if (range == loops_.end()) {
      fail(n.at, DiagnosticKind::bad_argument, "`T.axis.remap` takes loop variables");
      return false;
    }
    add_axis(targets[i]->text, *kind, range->second, loop, f);
  }
  return true;
}

// `v = T.axis.spatial(domain, value)`.
bool TensorReader::read_axis(const Statement& s, const std::string& name,
                             tir::BlockNode::Fields& f) {
  if (name == "remap") return read_remap(s, f);
  const Node& call = *s.value;
  auto kind = iter_kind(name);
  if (!kind) {
    fail(call.at, DiagnosticKind::unknown_name, "unknown axis `T.axis.{}`{}", name,
         suggest(name, {"spatial", "reduce", "scan", "opaque", "remap"}));
    return false;
  }
  if (call.kids.size() != 3 || s.target->kind != NodeKind::name) {
    fail(call.at, DiagnosticKind::wrong_arity, "an axis has a domain and a value");
    return false;
  }
  const Node& domain = *call.kids[1];
  std::optional<tir::Range> range;
  if (domain.kind == NodeKind::tuple && domain.kids.size() == 2) {
    range = read_bounds(*domain.kids[0], *domain.kids[1]);
  } else if (Expr extent = exprs_.read_index(domain)) {
    range = tir::Range{make_int(0), extent};
  }
  Expr value = exprs_.read_index(*call.kids[2]);
  if (!range || !value) return false;
  add_axis(s.target->text, *kind, *range, value, f);
  return true;
}

bool TensorReader::read_init(const Statement& s, tir::BlockNode::Fields& f) {
  if (f.init) {
    fail(s.at, DiagnosticKind::ill_formed, "a block has one `T.init`");
    return false;
  }
  f.init = read_body(s.body);
  return f.init != nullptr;
}

bool TensorReader::read_where(const Node& call, tir::BlockNode::Fields& f) {
  if (call.kids.size() != 2) {
    fail(call.at, DiagnosticKind::wrong_arity, "`T.where` takes one condition");
    return false;
  }
  Expr p = exprs_.read_condition(*call.kids[1]);
  if (p) f.predicate = f.predicate ? logical_and(f.predicate, p) : p;
  return p != nullptr;
}

struct TensorReader::BlockHead {
  tir::BlockNode::Fields fields;
  // Read last: regions may mention buffers that later lines allocate or match.
  std::vector<const Node*> reads, writes;
};

bool TensorReader::read_block_line(const Statement& s, BlockHead& head, StmtSequence& body) {
  const std::string callee = callee_name(s.value);
  tir::BlockNode::Fields& f = head.fields;
  if (s.kind == SyntaxKind::assign && callee.starts_with("T.axis.")) {
    return read_axis(s, callee.substr(7), f);
  }
  if (s.kind == SyntaxKind::with && s.items.size() == 1 &&
      callee_name(s.items[0].value) == "T.init") {
    return read_init(s, f);
  }
  if (s.kind != SyntaxKind::expression) return read_statement(s, body);
  if (callee == "T.reads" || callee == "T.writes") {
    (callee == "T.reads" ? head.reads : head.writes).push_back(s.value);
    return true;
  }
  if (callee == "T.where") return read_where(*s.value, f);
  if (callee == "T.block_attr") {
    if (s.value->kids.size() == 2) {
      return read_attr_dict(context_, exprs_, *s.value->kids[1], &f.annotations);
    }
    fail(s.value->at, DiagnosticKind::wrong_arity, "`T.block_attr` takes one dictionary");
    return false;
  }
  return read_statement(s, body);
}

namespace {

// Loop variables that a statement mentions, and those that it binds itself.
void collect_loops(const tir::Stmt& stmt, std::vector<Var>& used,
                   std::unordered_set<const VarNode*>& bound) {
  if (!stmt) return;
  tir::visit_stmts(stmt, [&](const tir::Stmt& part) {
    if (const auto* loop = tir::as<tir::ForNode>(part)) bound.insert(loop->var.get());
    return true;
  });
  tir::visit_all_exprs(stmt, [&](const Expr& e) {
    for (const Var& v : free_vars(e)) {
      if (v->role == VarRole::loop && std::find(used.begin(), used.end(), v) == used.end()) {
        used.push_back(v);
      }
    }
  });
}

}  // namespace

// A block sees loops through its axes. TVM's opaque blocks have none and mention the loops: such a
// block gets an axis for each. One that has axes and mentions a loop is refused (T2).
void TensorReader::bind_outer_loops(tir::BlockNode::Fields& f) {
  if (!f.iters.empty()) return;
  std::vector<Var> used;
  std::unordered_set<const VarNode*> bound;
  collect_loops(f.body, used, bound);
  collect_loops(f.init, used, bound);
  VarMap axes;
  for (const Var& v : used) {
    auto loop = loops_.find(v.get());
    if (bound.contains(v.get()) || loop == loops_.end()) continue;
    Var axis = make_var("v_" + v->name, dtypes::index, VarRole::loop);
    f.iters.push_back({axis, loop->second.min, loop->second.extent, tir::IterKind::opaque, v});
    axes.emplace(v.get(), axis);
  }
  if (axes.empty()) return;
  f.body = tir::substitute(f.body, axes, {});
  if (f.init) f.init = tir::substitute(f.init, axes, {});
  for (std::vector<tir::Region>* list : {&f.reads, &f.writes}) {
    for (tir::Region& region : *list) {
      for (tir::Range& r : region.ranges) {
        r = {substitute(r.min, axes), substitute(r.extent, axes)};
      }
    }
  }
}

bool TensorReader::read_block(const Statement& s, const Node& call, StmtSequence& out) {
  BlockHead head;
  tir::BlockNode::Fields& f = head.fields;
  f.span = span(s.at);
  if (call.kind == NodeKind::call && call.kids.size() > 1) {
    if (call.kids[1]->kind != NodeKind::string) {
      fail(call.kids[1]->at, DiagnosticKind::bad_argument, "expected the name of a block");
      return false;
    }
    f.name = call.kids[1]->text;
  }
  declare_symbols(s.body);
  scopes_.push();
  blocks_.push_back(&f);
  const Nesting outer = nesting_;
  StmtSequence body;
  bool ok = true;
  for (const Statement* line : s.body) {
    bool fine = read_block_line(*line, head, body);
    if (!fine) poison(*line);
    ok = ok && fine;
  }
  for (const Node* n : head.reads) ok = read_regions(*n, f.reads) && ok;
  for (const Node* n : head.writes) ok = read_regions(*n, f.writes) && ok;
  nesting_ = outer;
  blocks_.pop_back();
  scopes_.pop();
  if (!ok) return false;
  f.body = body.finish();
  bind_outer_loops(f);
  if (head.reads.empty() || head.writes.empty()) {
    Accesses accesses = infer_accesses(f);
    if (head.reads.empty()) f.reads = std::move(accesses.reads);
    if (head.writes.empty()) f.writes = std::move(accesses.writes);
  }
  out.add(tir::make<tir::BlockNode>(std::move(f)));
  return true;
}

}  // namespace repose::script
