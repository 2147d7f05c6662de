// Statements of tensor programs: assignments, stores, lets, branches, assertions.
#include "script/read_attr.h"
#include "script/tensor_reader.h"

namespace repose::script {

using tir::Stmt;

Wrap wrap_let(Var var, Expr value, Span span) {
  return [=](Stmt body) { return tir::make<tir::LetNode>(var, value, std::move(body), span); };
}

Wrap wrap_buffer(Buffer buffer, Expr handle, Span span) {
  return [=](Stmt body) {
    return handle ? tir::make<tir::DeclareNode>(buffer, handle, std::move(body), span)
                  : tir::make<tir::AllocateNode>(buffer, std::move(body), span);
  };
}

Wrap wrap_attr(std::string key, Expr value, Span span) {
  return [=](Stmt body) { return tir::make<tir::AttrStmtNode>(key, value, std::move(body), span); };
}

Stmt StmtSequence::finish() {
  while (tails_.size() > 1) {
    Tail tail = std::move(tails_.back());
    tails_.pop_back();
    add(tail.wrap(tir::make_seq(std::move(tail.stmts))));
  }
  return tir::make_seq(std::move(tails_[0].stmts));
}

Stmt TensorReader::read_body(const std::vector<Statement*>& body) {
  scopes_.push();
  const Nesting outer = nesting_;
  StmtSequence sequence;
  bool ok = true;
  for (const Statement* s : body) {
    ok = read_or_poison(*s, sequence) && ok;
    if (const Expr condition = goes_on(*s); condition && s != body.back()) {
      sequence.wrap_rest([condition](Stmt rest) {
        return tir::make<tir::IfNode>(condition, std::move(rest), nullptr, Span());
      });
    }
  }
  nesting_ = outer;
  scopes_.pop();
  return ok ? sequence.finish() : nullptr;
}

bool TensorReader::read_or_poison(const Statement& s, StmtSequence& out) {
  bool ok = read_statement(s, out);
  if (!ok) poison(s);
  return ok;
}

// What a wrong statement would have bound is not reported again where it is used.
void TensorReader::poison(const Statement& s) {
  for (const std::string& name : bound_names(s)) poisoned_.insert(name);
}

// Nothing that walks a program runs out of stack, and what is printed is read again.
bool TensorReader::check_nesting(const Statement& s) {
  if (s.depth + nesting_.attributes <= max_nesting && nesting_.variables <= max_chain) return true;
  if (!is_too_deep_) {
    fail(s.at, DiagnosticKind::nesting_too_deep,
         "more than {} blocks and attributes or {} variables and buffers in scope", max_nesting,
         max_chain);
  }
  is_too_deep_ = true;
  return false;
}

bool TensorReader::read_statement(const Statement& s, StmtSequence& out) {
  if (!check_nesting(s)) return false;
  switch (s.kind) {
    case SyntaxKind::pass:
    case SyntaxKind::import:
      return true;
    case SyntaxKind::assign:
      return read_assign(s, out);
    case SyntaxKind::expression:
      return read_expression(s, out);
    case SyntaxKind::for_:
      return read_for(s, out);
    case SyntaxKind::with:
      return read_with(s, out);
    case SyntaxKind::assert_:
      return read_assert(s, out);
    case SyntaxKind::if_:
      return read_if(s, out);
    case SyntaxKind::while_:
      return read_while(s, out);
    case SyntaxKind::break_:
    case SyntaxKind::continue_:
      return read_leave(s, out);
    case SyntaxKind::return_: {
      Expr value = s.value ? exprs_.read(*s.value) : make_int(0, dtypes::int32);
      if (!value) return false;
      out.add(tir::make<tir::ReturnNode>(value, span(s.at)));
      return true;
    }
    default:
      break;
  }
  fail(s.at, DiagnosticKind::syntax, "this statement doesn't belong in a tensor program");
  return false;
}

bool TensorReader::read_if(const Statement& s, StmtSequence& out) {
  Expr condition = exprs_.read_condition(*s.value);
  Stmt then_body = read_body(s.body);
  Stmt else_body = s.orelse.empty() ? nullptr : read_body(s.orelse);
  if (!condition || !then_body || (!s.orelse.empty() && !else_body)) return false;
  out.add(tir::make<tir::IfNode>(condition, then_body, else_body, span(s.at)));
  return true;
}

bool TensorReader::read_assert(const Statement& s, StmtSequence& out) {
  Expr condition = exprs_.read_condition(*s.value);
  if (!condition) return false;
  std::string message = "assertion failed";
  std::vector<Expr> values;
  if (const Node* m = s.message) {
    bool with_values = m->kind == NodeKind::tuple && m->kids.size() == 2 &&
                       m->kids[0]->kind == NodeKind::string && m->kids[1]->kind == NodeKind::list;
    if (m->kind != NodeKind::string && !with_values) {
      fail(m->at, DiagnosticKind::syntax, "expected a message, or (message, [values])");
      return false;
    }
    message = with_values ? m->kids[0]->text : m->text;
    if (with_values) {
      for (const Node* v : m->kids[1]->kids) {
        values.push_back(exprs_.read(*v));
        if (!values.back()) return false;
      }
    }
  }
  out.add(tir::make<tir::AssertNode>(condition, message, values, span(s.at)));
  return true;
}

bool TensorReader::read_store(const Statement& s, const Node& target, const Node& value,
                              const Node* predicate, StmtSequence& out) {
  Expr place = exprs_.read(target);
  if (!place) return false;
  const auto* load = as<LoadNode>(place);
  REPOSE_CHECK(load != nullptr, "a subscript is read as a load");
  Expr v = exprs_.read_as(value, place->dtype);
  if (!v) return false;
  if (v->dtype.lanes != place->dtype.lanes) v = make_broadcast(v, place->dtype.lanes);
  Expr p;
  if (predicate) {
    p = exprs_.read_condition(*predicate);
    if (!p) return false;
  }
  out.add(tir::make<tir::StoreNode>(load->buffer, place->args, v, span(s.at), p));
  return true;
}

// ---- Assignments

bool TensorReader::read_assign(const Statement& s, StmtSequence& out) {
  if (!declared_symbols(s).empty()) return true;
  if (!s.value) {
    fail(s.at, DiagnosticKind::syntax, "expected `=` and a value");
    return false;
  }
  if (s.target->kind == NodeKind::subscript) {
    return read_store(s, *s.target, *s.value, nullptr, out);
  }
  if (s.target->kind == NodeKind::name) return read_named_assign(s, out);
  fail(s.target->at, DiagnosticKind::syntax,
       "expected a name or an element of a buffer before `=`");
  return false;
}

bool TensorReader::read_named_assign(const Statement& s, StmtSequence& out) {
  const std::string& name = s.target->text;
  std::string callee = callee_name(s.value);
  if (callee == "T.match_buffer") return read_match_buffer(s, name);
  if (callee == "T.alloc_buffer") {
    Buffer b = read_buffer(*s.value, name);
    if (!b) return false;
    define(name, b);
    blocks_.back()->alloc_buffers.push_back(b);
    return true;
  }
  if (callee == "T.decl_buffer" || callee == "T.Buffer") return read_declaration(s, name, out);
  if (callee == "T.meta_var") return read_meta_var(*s.value, name);
  if (callee.starts_with("T.axis.")) {
    fail(s.at, DiagnosticKind::syntax, "an axis belongs at the head of a block");
    return false;
  }
  return read_let(s, name, out);
}

// `A = T.decl_buffer(shape, dtype)`: the rest of the body has a new buffer; with `data`, one that
// names the memory there.
bool TensorReader::read_declaration(const Statement& s, const std::string& name,
                                    StmtSequence& out) {
  const Node& call = *s.value;
  Buffer b = read_buffer(call, name);
  if (!b) return false;
  const Node* data = keyword_argument(call, "data");
  if (!data && call.kids.size() > 3) data = call.kids[3];
  Expr handle;
  if (data && data->kind != NodeKind::none) {
    handle = read_handle(*data);
    if (!handle) return false;
  }
  ++nesting_.variables;
  out.wrap_rest(wrap_buffer(b, handle, span(s.at)));
  define(name, b);
  return true;
}

bool TensorReader::read_meta_var(const Node& call, const std::string& name) {
  if (call.kids.size() != 2) {
    fail(call.at, DiagnosticKind::wrong_arity, "`T.meta_var` takes one argument");
    return false;
  }
  const Node& value = *call.kids[1];
  Buffer b = value.kind == NodeKind::name ? find_buffer(value.text) : nullptr;
  if (b) {
    define(name, b);
    return true;
  }
  Expr e = exprs_.read(value);
  if (e) define(name, e);
  return e != nullptr;
}

bool TensorReader::read_let(const Statement& s, const std::string& name, StmtSequence& out) {
  std::optional<DType> dtype;
  if (const Node* a = s.annotation) {
    if (a->kind == NodeKind::subscript && dotted_name(*a->kids[0]) == "T.let" &&
        a->kids.size() == 2) {
      a = a->kids[1];
    }
    dtype = exprs_.read_dtype(a->kind == NodeKind::call ? *a->kids[0] : *a);
    if (!dtype) return false;
  }
  Expr value;
  if (!dtype) {
    value = exprs_.read(*s.value);
  } else {
    value = exprs_.read(*s.value, *dtype);
    bool keeps_index =
        value && value->dtype.is_index() && (*dtype == dtypes::int32 || *dtype == dtypes::int64);
    if (value && !keeps_index) value = exprs_.read_as(*s.value, *dtype);
  }
  if (!value) return false;
  if (value->kind == ExprKind::string_imm) {
    fail(s.value->at, DiagnosticKind::dtype_mismatch, "a string can't be bound");
    return false;
  }
  Var var = make_var(name, value->dtype, VarRole::let);
  ++nesting_.variables;
  out.wrap_rest(wrap_let(var, value, span(s.at)));
  define(name, Expr(var));
  return true;
}

// ---- Calls

bool TensorReader::read_expression(const Statement& s, StmtSequence& out) {
  const Node& node = *s.value;
  if (node.kind == NodeKind::string) return true;  // documentation
  std::string callee = callee_name(&node);
  size_t count = node.kind == NodeKind::call ? node.kids.size() - 1 : 0;
  if (callee == "T.func_attr") {
    return count == 1
               ? read_attr_dict(context_, exprs_, *node.kids[1], &attrs_)
               : (fail(node.at, DiagnosticKind::wrong_arity, "`T.func_attr` takes one dictionary"),
                  false);
  }
  if (callee == "T.assume" && count == 1) {
    Expr e = exprs_.read_condition(*node.kids[1]);
    if (!e) return false;
    out.add(tir::make<tir::AssertNode>(e, "an assumption of the program doesn't hold",
                                       std::vector<Expr>{}, span(s.at)));
    return true;
  }
  if (callee == "T.attr") return read_attr_statement(s, out);
  if (node.kind == NodeKind::call && node.kids[0]->kind == NodeKind::attribute &&
      node.kids[0]->text == "store" && node.kids[0]->kids[0]->kind == NodeKind::name &&
      find_buffer(node.kids[0]->kids[0]->text)) {
    return read_store_call(s, out);
  }
  if (callee == "T.evaluate" && count == 1) {
    Expr e = exprs_.read(*node.kids[1]);
    if (!e) return false;
    out.add(tir::make<tir::EvaluateNode>(e, span(s.at)));
    return true;
  }
  if (callee == "T.reads" || callee == "T.writes" || callee == "T.where" ||
      callee == "T.block_attr") {
    fail(node.at, DiagnosticKind::syntax, "`{}` belongs in a block", callee);
    return false;
  }
  if (node.kind == NodeKind::call) {
    Expr e = exprs_.read(node);
    if (!e) return false;
    out.add(tir::make<tir::EvaluateNode>(e, span(s.at)));
    return true;
  }
  fail(node.at, DiagnosticKind::syntax, "expected a statement");
  return false;
}

// `T.attr(node, "key", value)`: around the rest of the body.
bool TensorReader::read_attr_statement(const Statement& s, StmtSequence& out) {
  const Node& call = *s.value;
  size_t count = call.kids.size() - 1;
  if (count < 2 || count > 3) {
    fail(call.at, DiagnosticKind::wrong_arity, "`T.attr` takes a node, a key and a value");
    return false;
  }
  const Node& key = *call.kids[count - 1];
  Expr value = exprs_.read(*call.kids[count]);
  if (!value) return false;
  if (key.kind != NodeKind::string) {
    fail(key.at, DiagnosticKind::bad_argument, "expected a string as key");
    return false;
  }
  ++nesting_.attributes;
  out.wrap_rest(wrap_attr(key.text, value, span(s.at)));
  return true;
}

// `A.store(value, [indices], predicate=p)`.
bool TensorReader::read_store_call(const Statement& s, StmtSequence& out) {
  const Node& call = *s.value;
  if (call.kids.size() != 3) {
    fail(call.at, DiagnosticKind::wrong_arity, "`store` takes a value and a list of indices");
    return false;
  }
  Node target;
  target.kind = NodeKind::subscript;
  target.at = call.at;
  target.kids = {call.kids[0]->kids[0]};
  Node* indices = call.kids[2];
  if (is_list(*indices)) {
    target.kids.insert(target.kids.end(), indices->kids.begin(), indices->kids.end());
  } else {
    target.kids.push_back(indices);
  }
  return read_store(s, target, *call.kids[1], keyword_argument(call, "predicate"), out);
}

}  // namespace repose::script
