// Calls of packed functions in host functions.
#include "host/lower_packed.h"

#include <algorithm>

#include "base/dlpack_code.h"
#include "base/message_text.h"
#include "ir/op.h"
#include "ir/packed_call.h"
#include "memory/liveness.h"

namespace repose {

namespace {

size_t count_leaves(const Type& type) {
  const auto* tuple = as<TupleTypeNode>(type);
  if (!tuple) return 1;
  size_t count = 0;
  for (const Type& field : tuple->fields) count += count_leaves(field);
  return count;
}

Expr number(int64_t value) {
  return make_int(value);
}

}  // namespace

void PackedCalls::runtime(Statements& out, const char* function, std::vector<Expr> args) const {
  out.evaluate(make_call(Intrinsic::call_runtime, dtypes::int32, std::move(args), function));
}

// ---- Values that are held -----------------------------------------------------------------------

const std::vector<int>* PackedCalls::held_of(const graph::Value& v) {
  if (auto it = held_.find(v.get()); it != held_.end()) return &it->second;
  const auto* get = graph::as<graph::TupleGetNode>(v);
  const std::vector<int>* whole = get ? held_of(get->tuple) : nullptr;
  if (!whole) return nullptr;
  const auto& fields = as<TupleTypeNode>(get->tuple->type)->fields;
  size_t begin = 0;
  for (int i = 0; i < get->index; ++i) begin += count_leaves(fields[static_cast<size_t>(i)]);
  const size_t count = count_leaves(fields[static_cast<size_t>(get->index)]);
  const auto first = whole->begin() + static_cast<std::ptrdiff_t>(begin);
  return &(held_[v.get()] = {first, first + static_cast<std::ptrdiff_t>(count)});
}

void PackedCalls::note(const graph::Binding& b) {
  const auto* call = graph::as<graph::CallNode>(b.value);
  if (call && call->op && call->op->name == "null_value") nulls_.insert(b.var.get());
  if (call || b.cast) return;
  if (nulls_.contains(b.value.get())) nulls_.insert(b.var.get());
  if (const std::vector<int>* held = held_of(b.value)) held_[b.var.get()] = std::vector<int>(*held);
  const auto* tuple = graph::as<graph::TupleNode>(b.value);
  if (!tuple) return;
  std::vector<int> all;
  bool any = false;
  for (const graph::Value& field : tuple->fields) {
    const std::vector<int>* held = held_of(field);
    any = any || held;
    const std::vector<int> own = held ? *held : std::vector<int>(count_leaves(field->type), -1);
    all.insert(all.end(), own.begin(), own.end());
  }
  if (any) held_[b.var.get()] = std::move(all);
}

// ---- Arguments ----------------------------------------------------------------------------------

void PackedCalls::push_dims(Statements& out, const Dims& dims) const {
  for (const Expr& d : dims) runtime(out, "repose_rt_push_dim", {d});
}

void PackedCalls::push_tensor(Statements& out, const TensorTypeNode& t, const Expr& data) {
  push_dims(out, *t.shape);
  runtime(out, "repose_rt_push_tensor",
          {data, number(dlpack_code(t.dtype)), number(t.dtype.bits),
           number(static_cast<int64_t>(t.shape->size()))});
}

void PackedCalls::push_number(Statements& out, const Expr& value) {
  if (value->dtype.is_float()) {
    return runtime(out, "repose_rt_push_float", {make_cast(dtypes::float64, value)});
  }
  runtime(out, value->dtype.is_bool() ? "repose_rt_push_bool" : "repose_rt_push_int", {value});
}

void PackedCalls::push(Statements& out, const graph::Value& v, const Span& span) {
  if (const auto* text = graph::as<graph::StringNode>(v)) {
    return runtime(out, "repose_rt_push_text", {make_string(text->value)});
  }
  if (const auto* dtype = graph::as<graph::DTypeNode>(v)) {
    return runtime(out, "repose_rt_push_dtype",
                   {number(dlpack_code(dtype->value)), number(dtype->value.bits)});
  }
  if (nulls_.contains(v.get())) return runtime(out, "repose_rt_push_none", {});
  if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
    for (const graph::Value& field : tuple->fields) push(out, field, span);
    return runtime(out, "repose_rt_push_tuple",
                   {number(static_cast<int64_t>(tuple->fields.size()))});
  }
  if (const auto* shape = graph::as<graph::ShapeNode>(v)) {
    push_dims(out, shape->dims);
    return runtime(out, "repose_rt_push_shape", {number(static_cast<int64_t>(shape->dims.size()))});
  }
  if (const auto* prim = graph::as<graph::PrimValueNode>(v)) return push_number(out, prim->value);
  size_t tensor = 0, leaf = 0;
  push_part(out, v, v->type, tensor, leaf, span);
}

// A part of the variable `v`: of its tensors and leaves those from `tensor` and `leaf` on.
void PackedCalls::push_part(Statements& out, const graph::Value& v, const Type& type,
                            size_t& tensor, size_t& leaf, const Span& span) {
  if (const auto* tuple = as<TupleTypeNode>(type)) {
    for (const Type& field : tuple->fields) push_part(out, v, field, tensor, leaf, span);
    return runtime(out, "repose_rt_push_tuple",
                   {number(static_cast<int64_t>(tuple->fields.size()))});
  }
  const std::vector<int>* held = held_of(v);
  const int place = held ? held->at(leaf) : -1;
  ++leaf;
  const auto* t = as<TensorTypeNode>(type);
  const size_t own_tensor = t ? tensor++ : 0;
  const auto* shape = as<ShapeTypeNode>(type);
  const auto* prim = as<PrimTypeNode>(type);
  if (t && !is_held(type)) {
    const Expr data = context_.place(v, own_tensor);
    if (data) return push_tensor(out, *t, data);
  } else if (shape) {
    const std::optional<Dims> dims = shape->dims ? shape->dims : context_.shape(v);
    if (dims) {
      push_dims(out, *dims);
      return runtime(out, "repose_rt_push_shape", {number(static_cast<int64_t>(dims->size()))});
    }
  } else if (prim && prim->value) {
    return push_number(out, prim->value);
  } else if (place >= 0) {
    return runtime(out, "repose_rt_push_held", {number(place)});
  }
  context_.refuse(span, fmt::format("passing a value of type {} to a packed function",
                                    quoted(to_string(type))));
}

// ---- Calls --------------------------------------------------------------------------------------

std::optional<Expr> PackedCalls::number_of(const graph::Value& function, const Span& span) {
  const auto* external = graph::as<graph::ExternNode>(function);
  if (!external) {
    context_.refuse(span, "a packed function that a value names");
    return std::nullopt;
  }
  auto it = std::find(names_.begin(), names_.end(), external->name);
  if (it == names_.end()) it = names_.insert(names_.end(), external->name);
  return number(it - names_.begin());
}

void PackedCalls::call(Statements& out, const graph::Binding& b) {
  const auto& c = *graph::as<graph::CallNode>(b.value);
  const std::optional<Expr> function = number_of(c.args[0], b.span);
  if (!function) return;
  const bool overwrites = c.op->name == "call_inplace_packed";
  const std::vector<int64_t> overwritten =
      overwrites ? overwritten_args(c, b.value->type) : std::vector<int64_t>();
  std::vector<Expr> copies(c.args.size());  // of what is overwritten, by argument
  for (size_t r = 0; r < overwritten.size(); ++r) {
    if (overwritten[r] < 0) continue;
    const auto i = static_cast<size_t>(overwritten[r]) + 1;
    const TensorTypeNode* t = graph::tensor_of(c.args[i]);
    copies[i] = context_.place(b.var, r);
    const Expr from = context_.place(c.args[i], 0);
    if (!copies[i] || !from || !t->shape || !t->dtype) {
      return context_.refuse(b.span, "overwriting a tensor of unknown dimensions");
    }
    out.evaluate(
        make_call(Intrinsic::copy_bytes, dtypes::int32, {copies[i], from, size_bytes(*t)}));
  }
  for (size_t i = 1; i < c.args.size(); ++i) {
    if (copies[i]) {
      push_tensor(out, *graph::tensor_of(c.args[i]), copies[i]);
      runtime(out, "repose_rt_may_write", {});
    } else {
      push(out, c.args[i], b.span);
    }
  }

  std::vector<Leaf> leaves;
  std::vector<int>& held = held_[b.var.get()];
  const int first = num_held_;
  auto add = [&](auto&& self, const Type& type, const std::string& what) -> void {
    if (const auto* tuple = as<TupleTypeNode>(type)) {
      for (size_t i = 0; i < tuple->fields.size(); ++i) {
        self(self, tuple->fields[i], fmt::format("item {} of {}", i, what));
      }
      return;
    }
    const size_t r = held.size();
    if (r < overwritten.size() && overwritten[r] >= 0) {
      held.push_back(-1);
      return;
    }
    held.push_back(num_held_);
    leaves.push_back({type, what, num_held_++});
    const auto* shape = as<ShapeTypeNode>(type);
    if (shape && !shape->dims) {
      context_.refuse(b.span, "a packed function that gives a shape of unknown rank");
    }
    runtime(out, "repose_rt_expect", {number(packed_kind(type)), number(packed_count(type))});
  };
  add(add, b.value->type, quoted(b.var->name));
  runtime(out, "repose_rt_call_packed", {*function, number(0), number(first)});
  for (const Leaf& leaf : leaves) check_leaf(out, leaf, b.span);
}

// Checks a result and binds its symbols; one whose type says nothing of its size stays as it is.
void PackedCalls::check_leaf(Statements& out, const Leaf& leaf, const Span& span) {
  const Expr held = number(leaf.held);
  const Expr what = make_string(leaf.what), type = make_string(to_string(leaf.type));
  auto ask = [&](const char* function, std::vector<Expr> args) -> Expr {
    const Var seen = make_var("seen", dtypes::index, VarRole::let);
    out.let(seen, make_call(Intrinsic::call_runtime, dtypes::index, std::move(args), function));
    return seen;
  };
  auto match_dims = [&](const Dims& dims, const char* word) {
    for (size_t d = 0; d < dims.size(); ++d) {
      context_.match(span, fmt::format("{}: {} {}", leaf.what, word, d), dims[d],
                     ask("repose_rt_held_dim", {held, number(static_cast<int64_t>(d))}));
    }
  };
  if (is_held(leaf.type)) return;
  if (const auto* t = as<TensorTypeNode>(leaf.type)) {
    runtime(out, "repose_rt_check_tensor",
            {held, number(dlpack_code(t->dtype)), number(t->dtype.bits),
             number(static_cast<int64_t>(t->shape->size())), what, type});
    match_dims(*t->shape, "dimension");
  } else if (const auto* s = as<ShapeTypeNode>(leaf.type); s && s->dims) {
    runtime(out, "repose_rt_check_shape",
            {held, number(static_cast<int64_t>(s->dims->size())), what, type});
    match_dims(*s->dims, "member");
  } else if (const auto* p = as<PrimTypeNode>(leaf.type); p && p->dtype) {
    const DType dtype = p->dtype.is_index() ? dtypes::int64 : p->dtype;
    runtime(out, "repose_rt_check_number",
            {held, number(dlpack_code(dtype)), number(dtype.bits), what, type});
    if (!p->value) return;  // it stays held
    if (!p->dtype.is_index()) {
      return context_.refuse(span, fmt::format("a packed function that gives a value of type {}",
                                               quoted(to_string(leaf.type))));
    }
    context_.match(span, leaf.what + ": its value", p->value, ask("repose_rt_held_int", {held}));
  } else {
    context_.refuse(span, fmt::format("a packed function that gives a value of type {}",
                                      quoted(to_string(leaf.type))));
  }
}

Expr PackedCalls::held_number(Statements& out, const graph::Value& v) {
  const std::vector<int>* held = held_of(v);
  if (!held || held->size() != 1 || held->at(0) < 0) return nullptr;
  const Var value = make_var("held", dtypes::index, VarRole::let);
  out.let(value, make_call(Intrinsic::call_runtime, dtypes::index, {number(held->at(0))},
                           "repose_rt_held_int"));
  return value;
}

void PackedCalls::receive(Statements& out, const graph::Binding& b,
                          const std::vector<Expr>& places) {
  const std::vector<int>* held = held_of(b.var);
  size_t leaf = 0, tensor = 0;
  auto copy = [&](auto&& self, const Type& type) -> void {
    if (const auto* tuple = as<TupleTypeNode>(type)) {
      for (const Type& field : tuple->fields) self(self, field);
      return;
    }
    const int from = held && leaf < held->size() ? held->at(leaf) : -1;
    ++leaf;
    if (!as<TensorTypeNode>(type)) return;
    const Expr& to = places.at(tensor++);
    if (!to || from < 0) return;
    runtime(out, "repose_rt_copy_held", {number(from), to});
    // What a match_cast names may be named again, or passed on.
    if (!b.cast) runtime(out, "repose_rt_drop_held", {number(from)});
  };
  copy(copy, b.var->type);
}

void PackedCalls::name_held(Statements& out, const graph::Binding& b) {
  const std::vector<int>* held = held_of(b.value);
  if (!held || held->size() != 1 || held->at(0) < 0 || as<TupleTypeNode>(b.cast)) {
    const bool is_object = b.value->type->kind == TypeKind::any;
    return context_.refuse(
        b.span, is_object ? "a match_cast of an object" : "a match_cast of an unknown rank");
  }
  held_[b.var.get()] = std::vector<int>(*held);
  check_leaf(out, {b.cast, quoted(b.var->name), held_[b.var.get()][0]}, b.span);
}

void PackedCalls::call_dps(Statements& out, const graph::Binding& b,
                           const std::vector<Expr>& places) {
  const auto& c = *graph::as<graph::CallNode>(b.value);
  const std::optional<Expr> function = number_of(c.args[0], b.span);
  if (!function) return;
  for (const graph::Value& a : graph::as<graph::TupleNode>(c.args[1])->fields) {
    push(out, a, b.span);
  }
  const std::vector<const TensorTypeNode*> results = tensor_leaves(b.var->type);
  for (size_t r = 0; r < results.size(); ++r) {
    push_tensor(out, *results[r], places.at(r));
    runtime(out, "repose_rt_may_write", {});
  }
  runtime(out, "repose_rt_call_packed",
          {*function, number(static_cast<int64_t>(results.size())), number(0)});
}

// ---- Texts --------------------------------------------------------------------------------------

bool PackedCalls::check_printable(const graph::Value& v, const Span& span) {
  for (const TensorTypeNode* t : tensor_leaves(v->type)) {
    if (!t->dtype || (!t->dtype.is_tiny_float() && !t->dtype.is_packed())) continue;
    context_.refuse(span, fmt::format("printing elements of dtype {}", t->dtype.to_string()));
    return false;
  }
  return true;
}

void PackedCalls::print(Statements& out, const graph::Binding& b) {
  const auto& c = *graph::as<graph::CallNode>(b.value);
  for (const graph::Value& a : c.args) {
    if (!check_printable(a, b.span)) return;
    push(out, a, b.span);
  }
  runtime(out, "repose_rt_print", {make_string(c.attrs.get_string("format"))});
}

void PackedCalls::assert_that(Statements& out, const graph::Binding& b, const Expr& condition) {
  const auto& c = *graph::as<graph::CallNode>(b.value);
  Statements failure;
  for (size_t i = 1; i < c.args.size(); ++i) {
    if (!check_printable(c.args[i], b.span)) return;
    push(failure, c.args[i], b.span);
  }
  runtime(failure, "repose_rt_refuse", {make_string(c.attrs.get_string("format"))});
  out.add(tir::make<tir::IfNode>(make_not(condition), failure.finish(), nullptr, b.span));
}

}  // namespace repose
