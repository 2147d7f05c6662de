// Tensor programs: statements, buffers and blocks of the text as tensor IR.
#include "script/read_tensor.h"

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "expr/facts.h"

namespace repose::script {

namespace {

using tir::Stmt;

class TensorReader : public NameScope {
 public:
  TensorReader(ReadContext& context, const std::vector<std::string>& symbols)
      : context_(context), exprs_(context, *this) {
    scopes_.emplace_back();
    for (const std::string& s : symbols) declared_[s] = true;
  }

  tir::PrimFunc read(const Statement& def);

  Expr find_variable(const Node& name) override {
    for (size_t i = scopes_.size(); i-- > 0;) {
      auto it = scopes_[i].find(name.text);
      if (it != scopes_[i].end()) return it->second.value;
    }
    if (!declared_.count(name.text) && !new_symbols_) return nullptr;
    Var v = make_var(name.text, dtypes::index, new_role_);
    scopes_[0][name.text] = {v, nullptr};
    uses_.emplace_back(v, name.at);
    return v;
  }
  Buffer find_buffer(const std::string& name) override {
    for (size_t i = scopes_.size(); i-- > 0;) {
      auto it = scopes_[i].find(name);
      if (it != scopes_[i].end()) return it->second.buffer;
    }
    return nullptr;
  }
  Expr find_data(const Buffer& buffer) override {
    auto it = data_.find(buffer.get());
    return it == data_.end() ? nullptr : Expr(it->second);
  }
  bool explain(const Node& name) override {
    return poisoned_.count(name.text) > 0 || context_.tree.lost_names.count(name.text) > 0;
  }
  std::vector<std::string> candidates() const override {
    std::vector<std::string> names;
    for (const auto& scope : scopes_) {
      for (const auto& [name, entry] : scope) names.push_back(name);
    }
    return names;
  }

 private:
  struct Entry {
    Expr value;
    Buffer buffer;
  };
  // Statements so far, and what wraps around them when their sequence ends.
  struct Tail {
    std::vector<Stmt> stmts;
    std::function<Stmt(Stmt)> wrap;
  };
  using Sequence = std::vector<Tail>;

  ReadContext& context_;
  ExprReader exprs_;
  std::vector<std::map<std::string, Entry>> scopes_;
  std::map<std::string, bool> declared_;
  std::set<std::string> poisoned_;  // names whose binding was wrong
  bool new_symbols_ = false;
  VarRole new_role_ = VarRole::dimension;
  std::vector<std::pair<Var, Position>> uses_;
  std::vector<Var> bound_in_views_;
  std::unordered_map<const BufferNode*, Var> data_;
  std::vector<tir::Param> params_;
  std::map<std::string, size_t> handles_;  // parameters that no buffer has been matched to
  Attrs attrs_;
  std::vector<tir::BlockNode::Fields*> blocks_;
  tir::BlockNode::Fields root_;
  std::unordered_map<const VarNode*, tir::Range> loops_;  // around the current statement

  template <class... Args>
  std::nullptr_t fail(const Position& at, DiagnosticKind kind, fmt::format_string<Args...> text,
                      Args&&... args) {
    return context_.fail(kind, at, text, std::forward<Args>(args)...);
  }
  void define(const std::string& name, Expr value) { scopes_.back()[name] = {value, nullptr}; }
  void define(const std::string& name, Buffer buffer) { scopes_.back()[name] = {nullptr, buffer}; }

  bool read_params(const Statement& def);
  void declare_symbols(const std::vector<Statement*>& body);
  bool is_symbol_declaration(const Statement& s) const;
  Buffer read_buffer(const Node& call, const std::string& name, size_t shape_arg, Scope scope,
                     const std::vector<Expr>* default_shape = nullptr,
                     DType default_dtype = dtypes::float32);
  Stmt read_body(const std::vector<Statement*>& body);
  bool read_statement(const Statement& s, Sequence& out);
  bool read_or_poison(const Statement& s, Sequence& out) {
    bool ok = read_statement(s, out);
    if (!ok) poison(s);
    return ok;
  }
  // What a wrong statement would have bound is not reported again where it is used.
  void poison(const Statement& s) {
    if (s.kind != SyntaxKind::assign) return;
    if (s.target->kind == NodeKind::name) poisoned_.insert(s.target->text);
    if (s.target->kind != NodeKind::tuple) return;
    for (const Node* n : s.target->kids) poisoned_.insert(n->text);
  }
  bool read_assign(const Statement& s, Sequence& out);
  bool read_named_assign(const Statement& s, Sequence& out);
  bool read_let(const Statement& s, const std::string& name, Sequence& out);
  bool read_store(const Statement& s, const Node& target, const Node& value, const Node* predicate,
                  Sequence& out);
  bool read_match_buffer(const Statement& s, const std::string& name);
  bool read_expression(const Statement& s, Sequence& out);
  bool read_for(const Statement& s, Sequence& out);
  bool read_with(const Statement& s, size_t item, Sequence& out);
  bool read_block(const Statement& s, const Node& call, Sequence& out);
  bool read_block_header(const Statement& s, const std::string& callee, tir::BlockNode::Fields& f,
                         bool* has_reads, bool* has_writes, bool* handled);
  bool read_axes(const Statement& s, const std::string& callee, tir::BlockNode::Fields& f);
  bool read_assert(const Statement& s, Sequence& out);
  std::optional<tir::Region> read_region(const Node& node);
  bool read_regions(const Node& call, std::vector<tir::Region>& out);
  std::optional<tir::Range> read_bounds(const Node& low, const Node& high);
  bool check_vars_bound(const tir::PrimFunc& f);
};

const Node* keyword(const Node& call, std::string_view name) {
  for (const Keyword& k : call.keywords) {
    if (k.name == name) return k.value;
  }
  return nullptr;
}

std::string callee_name(const Node* node) {
  if (!node || node->kind != NodeKind::call) return "";
  std::string name = dotted_name(*node->kids[0]);
  if (name.starts_with("tirx.")) name = "T." + name.substr(5);
  if (name == "T.sblock") return "T.block";
  if (name == "T.sblock_alloc_buffer") return "T.alloc_buffer";
  if (name == "T.sblock_attr") return "T.block_attr";
  if (name == "I.meta_var") return "T.meta_var";
  return name;
}

// [low, high) with the extent that was meant: `high` is often `low + extent`.
tir::Range make_range(const Expr& low, const Expr& high) {
  int64_t a = 0, b = 0;
  if (is_const_int(low, 0)) return {low, high};
  if (as_const_int(low, &a) && as_const_int(high, &b)) return {low, make_int(b - a)};
  if (structural_equal(low, high)) return {low, make_int(0)};
  if (high->kind == ExprKind::add && structural_equal(high->args[0], low)) {
    return {low, high->args[1]};
  }
  return {low, canonical(high - low)};
}

// ---- The function
// --------------------------------------------------------------------------------

bool TensorReader::is_symbol_declaration(const Statement& s) const {
  if (s.kind != SyntaxKind::assign || !s.value || s.annotation) return false;
  auto declares = [](const Node& target, const Node& value) {
    if (target.kind != NodeKind::name || value.kind != NodeKind::call) return false;
    std::string callee = callee_name(&value);
    return (callee == "T.int64" || callee == "T.int32" || callee == "T.index") &&
           value.kids.size() == 1;
  };
  if (s.target->kind == NodeKind::tuple) {
    if (s.value->kind != NodeKind::tuple || s.value->kids.size() != s.target->kids.size()) {
      return false;
    }
    for (size_t i = 0; i < s.value->kids.size(); ++i) {
      if (!declares(*s.target->kids[i], *s.value->kids[i])) return false;
    }
    return true;
  }
  return declares(*s.target, *s.value);
}

void TensorReader::declare_symbols(const std::vector<Statement*>& body) {
  for (const Statement* s : body) {
    if (is_symbol_declaration(*s)) {
      if (s->target->kind == NodeKind::name) declared_[s->target->text] = true;
      for (const Node* n : s->target->kids) declared_[n->text] = true;
    }
  }
}

bool TensorReader::read_params(const Statement& def) {
  bool ok = true;
  // Scalars first: shapes may mention them whatever their order.
  struct Slot {
    const Parameter* p;
    const Node* buffer = nullptr;
  };
  std::vector<Slot> slots;
  for (const Parameter& p : def.params) {
    Slot slot{&p};
    const Node* a = p.annotation;
    std::string callee = callee_name(a);
    std::string name = a ? dotted_name(*a) : "";
    if (name.starts_with("tirx.")) name = "T." + name.substr(5);
    tir::Param param;
    if (callee == "T.Buffer") {
      slot.buffer = a;
    } else if (!a || name == "T.handle") {
      param = tir::scalar_param(make_var(p.name, dtypes::handle, VarRole::handle));
      handles_[p.name] = params_.size();
    } else if (callee == "T.Scalar" && a->kids.size() == 2) {  // data of exactly this dtype
      auto dtype = exprs_.read_dtype(*a->kids[1]);
      if (!dtype || !*dtype) return false;
      param = tir::scalar_param(make_var(p.name, *dtype, VarRole::value));
    } else {
      bool is_size = callee.starts_with("T.");  // T.int64(is_size_var=True)
      std::string spelled = is_size                  ? callee.substr(2)
                            : name.starts_with("T.") ? name.substr(2)
                                                     : "";
      auto dtype = DType::parse(spelled);
      if (!dtype) {
        fail(a->at, DiagnosticKind::bad_argument,
             "expected `T.Buffer(…)`, `T.handle` or a scalar type");
        ok = false;
        continue;
      }
      bool is_index = *dtype == dtypes::int32 || *dtype == dtypes::int64 || dtype->is_index();
      param =
          tir::scalar_param(make_var(p.name, is_index ? dtypes::index : *dtype,
                                     is_index && is_size ? VarRole::dimension : VarRole::value));
    }
    params_.push_back(param);
    if (!slot.buffer) define(p.name, Expr(param.var));
    slots.push_back(slot);
  }
  if (!ok) return false;
  new_symbols_ = true;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].buffer) continue;
    Buffer b = read_buffer(*slots[i].buffer, slots[i].p->name, 1, Scope::global);
    if (!b) {
      ok = false;
      continue;
    }
    params_[i] = tir::buffer_param(b);
    data_[b.get()] = params_[i].var;
    define(slots[i].p->name, b);
  }
  new_symbols_ = false;
  return ok;
}

Buffer TensorReader::read_buffer(const Node& call, const std::string& name, size_t shape_arg,
                                 Scope scope, const std::vector<Expr>* default_shape,
                                 DType default_dtype) {
  static constexpr const char* names[] = {"shape",       "dtype", "data",  "strides",
                                          "elem_offset", "scope", "align", "offset_factor"};
  const Node* given[8] = {};
  bool has_data =
      callee_name(&call) != "T.alloc_buffer" && callee_name(&call) != "T.allocate_buffer";
  for (size_t i = shape_arg; i < call.kids.size(); ++i) {
    size_t k = i - shape_arg;
    if (k >= 2 && !has_data) k += 3;  // (shape, dtype, scope)
    if (k >= 8) {
      return fail(call.kids[i]->at, DiagnosticKind::bad_argument, "too many arguments of a buffer");
    }
    given[k] = call.kids[i];
  }
  for (const Keyword& k : call.keywords) {
    size_t i = 0;
    while (i < 8 && k.name != names[i]) ++i;
    if (k.name == "data" || k.name == "axis_separators" || k.name == "buffer_type" ||
        k.name == "layout") {
      continue;
    }
    if (i == 8) {
      return fail(k.at, DiagnosticKind::bad_argument, "a buffer has no `{}`{}", k.name,
                  suggest(k.name, {names, names + 8}));
    }
    given[i] = k.value;
  }
  std::vector<Expr> shape;
  if (given[0]) {
    auto dims = exprs_.read_shape(*given[0]);
    if (!dims) return nullptr;
    shape = std::move(*dims);
  } else if (default_shape) {
    shape = *default_shape;
  } else {
    return fail(call.at, DiagnosticKind::bad_argument, "a buffer needs a shape");
  }
  DType dtype = default_dtype;
  if (given[1]) {
    auto d = exprs_.read_dtype(*given[1]);
    if (!d) return nullptr;
    dtype = *d;
  }
  if (!dtype || dtype.is_vector()) {
    return fail(call.at, DiagnosticKind::bad_literal, "a buffer of dtype `{}`", dtype.to_string());
  }
  std::vector<Expr> strides;
  Expr offset;
  new_role_ = VarRole::value;
  bool ok = true;
  if (given[3] && given[3]->kind != NodeKind::none) {
    auto s = exprs_.read_shape(*given[3]);
    ok = s.has_value();
    if (s) strides = std::move(*s);
  }
  if (given[4] && given[4]->kind != NodeKind::none) {
    offset = exprs_.read_quoted(*given[4]);
    ok = ok && offset;
  }
  new_role_ = VarRole::dimension;
  if (!ok) return nullptr;
  if (!strides.empty() && strides.size() != shape.size()) {
    return fail(given[3]->at, DiagnosticKind::rank_mismatch, "{} strides for {} dimensions",
                strides.size(), shape.size());
  }
  if (given[5]) {
    bool known = false;
    for (Scope s : {Scope::global, Scope::local, Scope::shared, Scope::workspace}) {
      if (given[5]->kind == NodeKind::string && given[5]->text == scope_name(s)) {
        scope = s;
        known = true;
      }
    }
    if (!known) {
      return fail(given[5]->at, DiagnosticKind::bad_argument,
                  "expected the scope \"global\", \"local\", \"shared\" or \"workspace\"");
    }
  }
  int64_t align = 0;
  if (given[6]) {
    auto value = constant_integer(*given[6]);
    if (!value || *value < -1 || *value > 4096) {
      return fail(given[6]->at, DiagnosticKind::bad_argument,
                  "expected an alignment of at most 4096 bytes");
    }
    align = std::max<int64_t>(*value, 0);
  }
  return make_buffer(name, std::move(shape), dtype, scope, std::move(strides), std::move(offset),
                     static_cast<int>(align));
}

bool TensorReader::check_vars_bound(const tir::PrimFunc& f) {
  std::unordered_map<const VarNode*, bool> bound;
  for (const Var& v : tir::bound_symbols(*f)) bound[v.get()] = true;
  for (const Var& v : bound_in_views_) bound[v.get()] = true;
  for (const auto& [v, at] : uses_) {
    if (bound.count(v.get())) continue;
    fail(at, DiagnosticKind::unbound_symbol,
         "symbol `{}` is used, but no dimension of a buffer binds it", v->name);
    return false;
  }
  return true;
}

tir::PrimFunc TensorReader::read(const Statement& def) {
  bool is_private = false;
  for (const Node* d : def.decorators) {
    for (const Keyword& k : d->keywords) {
      if (k.name == "private") is_private = k.value->text == "True";
    }
  }
  for (const Parameter& p : def.type_params) declared_[p.name] = true;
  declare_symbols(def.body);
  if (!read_params(def)) return nullptr;
  scopes_.emplace_back();
  root_.name = "root";
  blocks_.push_back(&root_);
  size_t errors = context_.errors.size();
  Stmt body = read_body(def.body);
  if (context_.errors.size() > errors || !body) return nullptr;
  if (!root_.alloc_buffers.empty()) {
    root_.body = body;
    root_.span = context_.tree.span(def.at);
    body = tir::make<tir::BlockNode>(root_);
  }
  tir::PrimFunc f = tir::make_prim_func(std::move(params_), std::move(body), is_private,
                                        std::move(attrs_), context_.tree.span(def.name_at));
  return check_vars_bound(f) ? f : nullptr;
}

// ---- Statements
// ----------------------------------------------------------------------------------

Stmt TensorReader::read_body(const std::vector<Statement*>& body) {
  scopes_.emplace_back();
  Sequence sequence(1);
  bool ok = true;
  for (const Statement* s : body) ok = read_or_poison(*s, sequence) && ok;
  scopes_.pop_back();
  if (!ok) return nullptr;
  while (sequence.size() > 1) {
    Tail tail = std::move(sequence.back());
    sequence.pop_back();
    sequence.back().stmts.push_back(tail.wrap(tir::make_seq(std::move(tail.stmts))));
  }
  return tir::make_seq(std::move(sequence[0].stmts));
}

bool TensorReader::read_statement(const Statement& s, Sequence& out) {
  Span span = context_.tree.span(s.at);
  auto emit = [&](Stmt stmt) { out.back().stmts.push_back(std::move(stmt)); };
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
      return read_with(s, 0, out);
    case SyntaxKind::assert_:
      return read_assert(s, out);
    case SyntaxKind::if_: {
      Expr condition = exprs_.read_condition(*s.value);
      Stmt then_body = read_body(s.body);
      Stmt else_body = s.orelse.empty() ? nullptr : read_body(s.orelse);
      if (!condition || !then_body || (!s.orelse.empty() && !else_body)) return false;
      emit(tir::make<tir::IfNode>(condition, then_body, else_body, span));
      return true;
    }
    case SyntaxKind::while_: {
      Expr condition = exprs_.read_condition(*s.value);
      Stmt body = read_body(s.body);
      if (!condition || !body) return false;
      emit(tir::make<tir::WhileNode>(condition, body, span));
      return true;
    }
    case SyntaxKind::return_: {
      Expr value = s.value ? exprs_.read(*s.value) : make_int(0, dtypes::int32);
      if (!value) return false;
      emit(tir::make<tir::ReturnNode>(value, span));
      return true;
    }
    default:
      break;
  }
  fail(s.at, DiagnosticKind::syntax, "this statement doesn't belong in a tensor program");
  return false;
}

bool TensorReader::read_assert(const Statement& s, Sequence& out) {
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
  out.back().stmts.push_back(
      tir::make<tir::AssertNode>(condition, message, values, context_.tree.span(s.at)));
  return true;
}

bool TensorReader::read_store(const Statement& s, const Node& target, const Node& value,
                              const Node* predicate, Sequence& out) {
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
  out.back().stmts.push_back(
      tir::make<tir::StoreNode>(load->buffer, place->args, v, context_.tree.span(s.at), p));
  return true;
}

bool TensorReader::read_assign(const Statement& s, Sequence& out) {
  if (is_symbol_declaration(s)) return true;
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

bool TensorReader::read_named_assign(const Statement& s, Sequence& out) {
  const std::string& name = s.target->text;
  std::string callee = callee_name(s.value);
  if (callee == "T.match_buffer") return read_match_buffer(s, name);
  if (callee == "T.alloc_buffer") {
    Buffer b = read_buffer(*s.value, name, 1, Scope::global);
    if (!b) return false;
    define(name, b);
    blocks_.back()->alloc_buffers.push_back(b);
    return true;
  }
  if (callee == "T.decl_buffer" || callee == "T.Buffer") {
    Buffer b = read_buffer(*s.value, name, 1, Scope::global);
    if (!b) return false;
    const Node* data = keyword(*s.value, "data");
    if (!data && s.value->kids.size() > 3) data = s.value->kids[3];
    Span span = context_.tree.span(s.at);
    Expr handle;
    if (data && data->kind != NodeKind::none) {
      handle = exprs_.read(*data);
      if (!handle) return false;
      if (!handle->dtype.is_handle()) {
        fail(data->at, DiagnosticKind::dtype_mismatch, "`data` is a handle, found `{}`",
             handle->dtype.to_string());
        return false;
      }
    }
    out.push_back({{}, [=](Stmt body) {
                     return handle ? tir::make<tir::DeclareNode>(b, handle, body, span)
                                   : tir::make<tir::AllocateNode>(b, body, span);
                   }});
    define(name, b);
    return true;
  }
  if (callee == "T.meta_var") {
    if (s.value->kids.size() != 2) {
      fail(s.value->at, DiagnosticKind::wrong_arity, "`T.meta_var` takes one argument");
      return false;
    }
    const Node& value = *s.value->kids[1];
    if (value.kind == NodeKind::name) {
      if (Buffer b = find_buffer(value.text)) {
        define(name, b);
        return true;
      }
    }
    Expr e = exprs_.read(value);
    if (e) define(name, e);
    return e != nullptr;
  }
  if (callee.starts_with("T.axis.")) {
    fail(s.at, DiagnosticKind::syntax, "an axis belongs at the head of a block");
    return false;
  }
  return read_let(s, name, out);
}

bool TensorReader::read_let(const Statement& s, const std::string& name, Sequence& out) {
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
  Span span = context_.tree.span(s.at);
  out.push_back({{}, [=](Stmt body) { return tir::make<tir::LetNode>(var, value, body, span); }});
  define(name, Expr(var));
  return true;
}

bool TensorReader::read_match_buffer(const Statement& s, const std::string& name) {
  const Node& call = *s.value;
  if (call.kids.size() < 2) {
    fail(call.at, DiagnosticKind::wrong_arity, "`T.match_buffer` needs a handle or a region");
    return false;
  }
  const Node& source = *call.kids[1];
  if (source.kind == NodeKind::name && handles_.count(source.text)) {
    size_t index = handles_[source.text];
    new_symbols_ = true;
    Buffer b = read_buffer(call, name, 2, Scope::global);
    new_symbols_ = false;
    if (!b) return false;
    handles_.erase(source.text);
    params_[index] = tir::buffer_param(b);
    data_[b.get()] = params_[index].var;
    scopes_[0].erase(source.text);
    define(name, b);
    return true;
  }
  auto region = read_region(source);
  if (!region) return false;
  std::vector<Expr> shape;
  for (const tir::Range& r : region->ranges) shape.push_back(r.extent);
  Buffer b = read_buffer(call, name, 2, region->buffer->scope, &shape, region->buffer->dtype);
  if (!b) return false;
  auto bind = [&](const Expr& e) {
    if (const auto* v = as<VarNode>(e)) bound_in_views_.push_back(Var(v));
  };
  for (const Expr& e : b->shape) bind(e);
  for (const Expr& e : b->strides) bind(e);
  bind(b->offset_elems);
  blocks_.back()->match_buffers.push_back({b, std::move(*region)});
  define(name, b);
  return true;
}

bool TensorReader::read_expression(const Statement& s, Sequence& out) {
  Span span = context_.tree.span(s.at);
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
    out.back().stmts.push_back(tir::make<tir::AssertNode>(
        e, "an assumption of the program doesn't hold", std::vector<Expr>{}, span));
    return true;
  }
  if (callee == "T.attr") {
    if (count < 2 || count > 3) {
      fail(node.at, DiagnosticKind::wrong_arity, "`T.attr` takes a node, a key and a value");
      return false;
    }
    const Node& key = *node.kids[count - 1];
    Expr value = exprs_.read(*node.kids[count]);
    if (!value) return false;
    if (key.kind != NodeKind::string) {
      fail(key.at, DiagnosticKind::bad_argument, "expected a string as key");
      return false;
    }
    std::string text = key.text;
    out.push_back(
        {{}, [=](Stmt body) { return tir::make<tir::AttrStmtNode>(text, value, body, span); }});
    return true;
  }
  if (node.kind == NodeKind::call && node.kids[0]->kind == NodeKind::attribute &&
      node.kids[0]->text == "store" && node.kids[0]->kids[0]->kind == NodeKind::name &&
      find_buffer(node.kids[0]->kids[0]->text)) {
    if (count != 2) {
      fail(node.at, DiagnosticKind::wrong_arity, "`store` takes a value and a list of indices");
      return false;
    }
    Node target;
    target.kind = NodeKind::subscript;
    target.at = node.at;
    target.kids = {node.kids[0]->kids[0]};
    const Node& indices = *node.kids[2];
    if (indices.kind == NodeKind::list || indices.kind == NodeKind::tuple) {
      target.kids.insert(target.kids.end(), indices.kids.begin(), indices.kids.end());
    } else {
      target.kids.push_back(node.kids[2]);
    }
    return read_store(s, target, *node.kids[1], keyword(node, "predicate"), out);
  }
  if (callee == "T.evaluate" && count == 1) {
    Expr e = exprs_.read(*node.kids[1]);
    if (!e) return false;
    out.back().stmts.push_back(tir::make<tir::EvaluateNode>(e, span));
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
    out.back().stmts.push_back(tir::make<tir::EvaluateNode>(e, span));
    return true;
  }
  fail(node.at, DiagnosticKind::syntax, "expected a statement");
  return false;
}

bool TensorReader::read_for(const Statement& s, Sequence& out) {
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
  for (const Keyword& k : iter.keywords) {
    if (k.name == "annotations") {
      if (k.value->kind != NodeKind::none &&
          !read_attr_dict(context_, exprs_, *k.value, &annotations)) {
        return false;
      }
    } else if (k.name == "thread" && k.value->kind == NodeKind::string) {
      thread = k.value->text;
    } else {
      fail(k.at, DiagnosticKind::bad_argument, "a loop has no `{}`", k.name);
      return false;
    }
  }
  std::vector<tir::Range> ranges;
  size_t count = iter.kids.size() - 1;
  bool is_thread = kind->second == tir::ForKind::thread_binding;
  if (is_thread && count > 1 && iter.kids[count]->kind == NodeKind::string) {
    thread = iter.kids[count--]->text;
  }
  if (callee == "T.grid") {
    for (size_t i = 1; i <= count; ++i) {
      Expr extent = exprs_.read_index(*iter.kids[i]);
      if (!extent) return false;
      ranges.push_back({make_int(0), extent});
    }
  } else if (count == 1) {
    Expr extent = exprs_.read_index(*iter.kids[1]);
    if (!extent) return false;
    ranges.push_back({make_int(0), extent});
  } else if (count == 2) {
    auto range = read_bounds(*iter.kids[1], *iter.kids[2]);
    if (!range) return false;
    ranges.push_back(*range);
  }
  if (ranges.size() != names.size()) {
    fail(s.at, DiagnosticKind::wrong_arity, "{} loop variables for {} extents", names.size(),
         ranges.size());
    return false;
  }
  scopes_.emplace_back();
  std::vector<Var> vars;
  for (const Node* n : names) {
    vars.push_back(make_var(n->text, dtypes::index, VarRole::loop));
    define(n->text, Expr(vars.back()));
    loops_[vars.back().get()] = ranges[vars.size() - 1];
  }
  Stmt body = read_body(s.body);
  scopes_.pop_back();
  if (!body) return false;
  Span span = context_.tree.span(s.at);
  for (size_t i = vars.size(); i-- > 0;) {
    body = tir::make<tir::ForNode>(vars[i], ranges[i].min, ranges[i].extent, kind->second, body,
                                   thread, annotations, span);
  }
  out.back().stmts.push_back(body);
  return true;
}

bool TensorReader::read_with(const Statement& s, size_t item, Sequence& out) {
  const WithItem& w = s.items[item];
  std::string callee = callee_name(w.value);
  Span span = context_.tree.span(s.at);
  if (callee == "T.block" ||
      (w.value->kind == NodeKind::attribute && dotted_name(*w.value) == "T.block")) {
    if (s.items.size() > 1) {
      fail(s.at, DiagnosticKind::syntax, "a block stands alone after `with`");
      return false;
    }
    return read_block(s, *w.value, out);
  }
  auto inner = [&]() -> Stmt {
    if (item + 1 == s.items.size()) return read_body(s.body);
    Sequence nested(1);
    if (!read_with(s, item + 1, nested)) return nullptr;
    return tir::make_seq(std::move(nested[0].stmts));
  };
  auto need_name = [&]() {
    if (w.target && w.target->kind == NodeKind::name) return true;
    fail(s.at, DiagnosticKind::syntax, "expected `as` and a name");
    return false;
  };
  scopes_.emplace_back();
  struct Pop {
    std::vector<std::map<std::string, Entry>>& scopes;
    ~Pop() { scopes.pop_back(); }
  } pop{scopes_};
  Stmt result;
  if (callee == "T.LetStmt") {
    if (w.value->kids.size() < 2 || !need_name()) {
      if (w.value->kids.size() < 2) {
        fail(s.at, DiagnosticKind::wrong_arity, "`T.LetStmt` takes a value");
      }
      return false;
    }
    Expr value = exprs_.read(*w.value->kids[1]);
    if (!value) return false;
    Var var = make_var(w.target->text, value->dtype, VarRole::let);
    define(w.target->text, Expr(var));
    Stmt body = inner();
    if (body) result = tir::make<tir::LetNode>(var, value, body, span);
  } else if (callee == "T.allocate_buffer" || callee == "T.alloc_buffer") {
    if (!need_name()) return false;
    Buffer b = read_buffer(*w.value, w.target->text, 1, Scope::global);
    if (!b) return false;
    define(w.target->text, b);
    Stmt body = inner();
    if (body) result = tir::make<tir::AllocateNode>(b, body, span);
  } else if (callee == "T.declare_buffer") {
    if (w.value->kids.size() < 2 || !need_name()) return false;
    Expr data = exprs_.read(*w.value->kids[1]);
    if (!data) return false;
    if (!data->dtype.is_handle()) {
      fail(w.value->kids[1]->at, DiagnosticKind::dtype_mismatch, "expected a handle, found `{}`",
           data->dtype.to_string());
      return false;
    }
    Buffer b = read_buffer(*w.value, w.target->text, 2, Scope::global);
    if (!b) return false;
    define(w.target->text, b);
    Stmt body = inner();
    if (body) result = tir::make<tir::DeclareNode>(b, data, body, span);
  } else if (callee == "T.attr") {
    size_t count = w.value->kids.size() - 1;
    if (count < 2 || count > 3 || w.value->kids[count - 1]->kind != NodeKind::string) {
      fail(s.at, DiagnosticKind::bad_argument, "`T.attr` takes a key and a value");
      return false;
    }
    Expr value = exprs_.read(*w.value->kids[count]);
    if (!value) return false;
    Stmt body = inner();
    if (body) {
      result = tir::make<tir::AttrStmtNode>(w.value->kids[count - 1]->text, value, body, span);
    }
  } else if (callee == "T.Assert" && w.value->kids.size() == 3 &&
             w.value->kids[2]->kind == NodeKind::string) {
    Expr condition = exprs_.read_condition(*w.value->kids[1]);
    if (!condition) return false;
    Stmt body = inner();
    if (body) {
      result = tir::make_seq(
          {tir::make<tir::AssertNode>(condition, w.value->kids[2]->text, std::vector<Expr>{}, span),
           body});
    }
  } else if (callee == "T.init") {
    fail(s.at, DiagnosticKind::syntax, "`T.init` belongs in a block");
    return false;
  } else {
    fail(w.value->at, DiagnosticKind::unknown_name,
         "expected `T.block`, `T.init`, `T.attr`, `T.LetStmt`, `T.allocate_buffer` or "
         "`T.declare_buffer`");
    return false;
  }
  if (!result) return false;
  out.back().stmts.push_back(result);
  return true;
}

// ---- Blocks
// --------------------------------------------------------------------------------------

std::optional<tir::Range> TensorReader::read_bounds(const Node& low, const Node& high) {
  Expr a = exprs_.read_index(low);
  Expr b = exprs_.read_index(high);
  if (!a || !b) return std::nullopt;
  return make_range(a, b);
}

std::optional<tir::Region> TensorReader::read_region(const Node& node) {
  const Node& base = node.kind == NodeKind::subscript ? *node.kids[0] : node;
  Buffer buffer = base.kind == NodeKind::name ? find_buffer(base.text) : nullptr;
  if (!buffer) {
    if (base.kind == NodeKind::name && explain(base)) return std::nullopt;
    fail(base.at, DiagnosticKind::unknown_name, "unknown buffer `{}`{}", dotted_name(base),
         suggest(base.text, candidates()));
    return std::nullopt;
  }
  tir::Region region{buffer, {}};
  if (node.kind == NodeKind::name) {
    for (const Expr& extent : buffer->shape) region.ranges.push_back({make_int(0), extent});
    return region;
  }
  std::vector<Node*> given(node.kids.begin() + 1, node.kids.end());
  if (given.size() == 1 && given[0]->kind == NodeKind::tuple) given = given[0]->kids;
  if (given.size() != buffer->shape.size()) {
    fail(node.at, DiagnosticKind::rank_mismatch, "buffer `{}` has {} dimensions, {} are given",
         buffer->name, buffer->shape.size(), given.size());
    return std::nullopt;
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const Node& n = *given[i];
    if (n.kind != NodeKind::slice) {
      Expr index = exprs_.read_index(n);
      if (!index) return std::nullopt;
      region.ranges.push_back({index, make_int(1)});
      continue;
    }
    Expr low = n.kids[0] ? exprs_.read_index(*n.kids[0]) : make_int(0);
    Expr high = n.kids[1] ? exprs_.read_index(*n.kids[1]) : buffer->shape[i];
    if (!low || !high) return std::nullopt;
    region.ranges.push_back(make_range(low, high));
  }
  return region;
}

bool TensorReader::read_regions(const Node& call, std::vector<tir::Region>& out) {
  std::vector<Node*> given(call.kids.begin() + 1, call.kids.end());
  if (given.size() == 1 && given[0]->kind == NodeKind::list) given = given[0]->kids;
  bool ok = true;
  for (const Node* n : given) {
    auto region = read_region(*n);
    ok = ok && region;
    if (region) out.push_back(std::move(*region));
  }
  return ok;
}

bool TensorReader::read_axes(const Statement& s, const std::string& callee,
                             tir::BlockNode::Fields& f) {
  static const std::map<std::string, tir::IterKind> kinds = {
      {"spatial", tir::IterKind::spatial}, {"S", tir::IterKind::spatial},
      {"reduce", tir::IterKind::reduce},   {"R", tir::IterKind::reduce},
      {"scan", tir::IterKind::scan},       {"opaque", tir::IterKind::opaque}};
  const Node& call = *s.value;
  std::string axis = callee.substr(7);
  if (axis == "remap") {
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
      auto kind = kinds.find(std::string(1, call.kids[1]->text[i]));
      if (kind == kinds.end()) {
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
      Var var = make_var(targets[i]->text, dtypes::index, VarRole::loop);
      f.iters.push_back({var, range->second.min, range->second.extent, kind->second, loop});
      define(targets[i]->text, Expr(var));
    }
    return true;
  }
  auto kind = kinds.find(axis);
  if (kind == kinds.end()) {
    fail(call.at, DiagnosticKind::unknown_name, "unknown axis `{}`{}", callee,
         suggest(axis, {"spatial", "reduce", "scan", "opaque", "remap"}));
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
  Var var = make_var(s.target->text, dtypes::index, VarRole::loop);
  f.iters.push_back({var, range->min, range->extent, kind->second, value});
  define(s.target->text, Expr(var));
  return true;
}

bool TensorReader::read_block_header(const Statement& s, const std::string& callee,
                                     tir::BlockNode::Fields& f, bool* has_reads, bool* has_writes,
                                     bool* handled) {
  *handled = true;
  const Node& call = *s.value;
  if (s.kind == SyntaxKind::assign) {
    if (callee.starts_with("T.axis.")) return read_axes(s, callee, f);
    *handled = false;
    return true;
  }
  if (callee == "T.where") {
    if (call.kids.size() != 2) {
      fail(call.at, DiagnosticKind::wrong_arity, "`T.where` takes one condition");
      return false;
    }
    Expr p = exprs_.read_condition(*call.kids[1]);
    if (p) f.predicate = f.predicate ? logical_and(f.predicate, p) : p;
    return p != nullptr;
  }
  if (callee == "T.reads") {
    *has_reads = true;
    return read_regions(call, f.reads);
  }
  if (callee == "T.writes") {
    *has_writes = true;
    return read_regions(call, f.writes);
  }
  if (callee == "T.block_attr") {
    if (call.kids.size() != 2) {
      fail(call.at, DiagnosticKind::wrong_arity, "`T.block_attr` takes one dictionary");
      return false;
    }
    return read_attr_dict(context_, exprs_, *call.kids[1], &f.annotations);
  }
  *handled = false;
  return true;
}

bool TensorReader::read_block(const Statement& s, const Node& call, Sequence& out) {
  tir::BlockNode::Fields f;
  f.span = context_.tree.span(s.at);
  if (call.kind == NodeKind::call && call.kids.size() > 1) {
    if (call.kids[1]->kind != NodeKind::string) {
      fail(call.kids[1]->at, DiagnosticKind::bad_argument, "expected the name of a block");
      return false;
    }
    f.name = call.kids[1]->text;
  }
  declare_symbols(s.body);
  scopes_.emplace_back();
  blocks_.push_back(&f);
  bool ok = true, has_reads = false, has_writes = false;
  Sequence sequence(1);
  // Regions may mention buffers that later lines of the head allocate or match.
  std::vector<const Statement*> late;
  for (const Statement* inner : s.body) {
    std::string callee = callee_name(inner->value);
    bool handled = false;
    if (inner->kind == SyntaxKind::expression && (callee == "T.reads" || callee == "T.writes")) {
      late.push_back(inner);
      continue;
    }
    if (inner->kind == SyntaxKind::expression || inner->kind == SyntaxKind::assign) {
      if (inner->value) {
        bool fine = read_block_header(*inner, callee, f, &has_reads, &has_writes, &handled);
        if (!fine) poison(*inner);
        ok = ok && fine;
      }
      if (handled) continue;
    }
    if (inner->kind == SyntaxKind::with && inner->items.size() == 1 &&
        callee_name(inner->items[0].value) == "T.init") {
      if (f.init) {
        fail(inner->at, DiagnosticKind::ill_formed, "a block has one `T.init`");
        ok = false;
        continue;
      }
      f.init = read_body(inner->body);
      ok = ok && f.init;
      continue;
    }
    ok = read_or_poison(*inner, sequence) && ok;
  }
  for (const Statement* inner : late) {
    bool handled = false;
    ok = read_block_header(*inner, callee_name(inner->value), f, &has_reads, &has_writes,
                           &handled) &&
         ok;
  }
  blocks_.pop_back();
  scopes_.pop_back();
  if (!ok) return false;
  while (sequence.size() > 1) {
    Tail tail = std::move(sequence.back());
    sequence.pop_back();
    sequence.back().stmts.push_back(tail.wrap(tir::make_seq(std::move(tail.stmts))));
  }
  f.body = tir::make_seq(std::move(sequence[0].stmts));
  if (!has_reads || !has_writes) {
    Accesses accesses = infer_accesses(f);
    if (!has_reads) f.reads = std::move(accesses.reads);
    if (!has_writes) f.writes = std::move(accesses.writes);
  }
  out.back().stmts.push_back(tir::make<tir::BlockNode>(std::move(f)));
  return true;
}

}  // namespace

tir::PrimFunc read_prim_func(ReadContext& context, const Statement& def,
                             const std::vector<std::string>& symbols) {
  return TensorReader(context, symbols).read(def);
}

}  // namespace repose::script
