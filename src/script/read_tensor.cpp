// Tensor programs: names, parameters and symbols of the text's `@T.prim_func`.
#include "script/read_tensor.h"

#include <unordered_set>

#include "script/tensor_reader.h"

namespace repose::script {

// ---- Names

Expr TensorReader::find_variable(const Node& name) {
  if (const Entry* e = scopes_.find(name.text)) return e->value;
  if (!declared_.count(name.text) && !new_symbols_) return nullptr;
  Var v = make_var(name.text, dtypes::index, new_role_);
  scopes_.outermost()[name.text] = {v, nullptr};
  uses_.emplace_back(v, name.at);
  return v;
}

Buffer TensorReader::find_buffer(const std::string& name) {
  const Entry* e = scopes_.find(name);
  return e ? e->buffer : nullptr;
}

Expr TensorReader::find_data(const Buffer& buffer) {
  auto it = data_.find(buffer.get());
  return it == data_.end() ? nullptr : Expr(it->second);
}

bool TensorReader::explain(const Node& name) {
  return poisoned_.count(name.text) > 0 || context_.tree.lost_names.count(name.text) > 0;
}

void TensorReader::declare_symbols(const std::vector<Statement*>& body) {
  for (const Statement* s : body) {
    for (const Node* n : declared_symbols(*s)) declared_.insert(n->text);
  }
}

// ---- The signature

// Null `var`: a buffer, which is read later. Nothing: an error was reported.
std::optional<tir::Param> TensorReader::read_scalar_param(const Parameter& p) {
  const Node* a = p.annotation;
  std::string callee = callee_name(a);
  std::string name = a ? dotted_name(*a) : "";
  if (callee == "T.Buffer") return tir::Param{};
  if (!a || name == "T.handle") {
    handles_[p.name] = params_.size();
    return tir::scalar_param(make_var(p.name, dtypes::handle, VarRole::handle));
  }
  if (callee == "T.Scalar" && a->kids.size() == 2) {  // data of exactly this dtype
    auto dtype = exprs_.read_dtype(*a->kids[1]);
    if (!dtype || !*dtype) return std::nullopt;
    return tir::scalar_param(make_var(p.name, *dtype, VarRole::value));
  }
  bool is_size = callee.starts_with("T.");  // T.int64(is_size_var=True)
  std::string_view spelled = is_size ? callee : name;
  auto dtype = spelled.starts_with("T.") ? DType::parse(spelled.substr(2)) : std::nullopt;
  if (!dtype) {
    fail(a->at, DiagnosticKind::bad_argument,
         "expected `T.Buffer(…)`, `T.handle` or a scalar type");
    return std::nullopt;
  }
  bool is_index = *dtype == dtypes::int32 || *dtype == dtypes::int64 || dtype->is_index();
  return tir::scalar_param(make_var(p.name, is_index ? dtypes::index : *dtype,
                                    is_index && is_size ? VarRole::dimension : VarRole::value));
}

bool TensorReader::read_params(const Statement& def) {
  bool ok = true;
  // Scalars first: shapes may mention them whatever their order.
  for (const Parameter& p : def.params) {
    auto param = read_scalar_param(p);
    ok = ok && param;
    params_.push_back(param.value_or(tir::Param{}));
    if (params_.back().var) define(p.name, Expr(params_.back().var));
  }
  if (!ok) return false;
  new_symbols_ = true;
  for (size_t i = 0; i < params_.size(); ++i) {
    if (params_[i].var) continue;
    const Parameter& p = def.params[i];
    Buffer b = read_buffer(*p.annotation, p.name);
    ok = ok && b;
    if (!b) continue;
    params_[i] = tir::buffer_param(b);
    data_[b.get()] = params_[i].var;
    define(p.name, b);
  }
  new_symbols_ = false;
  return ok;
}

bool TensorReader::check_vars_bound(const tir::PrimFunc& f) {
  std::unordered_set<const VarNode*> bound;
  for (const Var& v : tir::bound_symbols(*f)) bound.insert(v.get());
  for (const Var& v : bound_in_views_) bound.insert(v.get());
  for (const auto& [v, at] : uses_) {
    if (bound.count(v.get())) continue;
    fail(at, DiagnosticKind::unbound_symbol,
         "symbol `{}` is used, but no dimension of a buffer binds it", v->name);
    return false;
  }
  return true;
}

tir::PrimFunc TensorReader::read(const Statement& def) {
  const Node* private_node = decorator_argument(def, "private");
  bool is_private = private_node && private_node->text == "True";
  for (const Parameter& p : def.type_params) declared_.insert(p.name);
  declare_symbols(def.body);
  if (!read_params(def)) return nullptr;
  scopes_.push();
  root_.name = "root";
  blocks_.push_back(&root_);
  size_t errors = context_.errors.size();
  tir::Stmt body = read_body(def.body);
  if (context_.errors.size() > errors || !body) return nullptr;
  if (!root_.alloc_buffers.empty() || !root_.match_buffers.empty()) {
    root_.body = body;
    root_.span = span(def.at);
    body = tir::make<tir::BlockNode>(root_);
  }
  tir::PrimFunc f = tir::make_prim_func(std::move(params_), std::move(body), is_private,
                                        std::move(attrs_), span(def.name_at));
  return check_vars_bound(f) ? f : nullptr;
}

tir::PrimFunc read_prim_func(ReadContext& context, const Statement& def,
                             const std::vector<std::string>& symbols) {
  return TensorReader(context, symbols).read(def);
}

}  // namespace repose::script
