// Building blocks of schedule rules.
#include "schedule/nest.h"

#include <unordered_set>

namespace repose {

using tir::ForKind;
using tir::ForNode;
using tir::Stmt;

Var loop_var(std::string name) {
  return make_var(std::move(name), dtypes::index, VarRole::loop);
}

Stmt serial_loop(const Var& v, const Expr& extent, Stmt body) {
  return tir::make<ForNode>(v, make_int(0), extent, ForKind::serial, std::move(body));
}
Stmt unrolled_loop(const Var& v, int extent, Stmt body) {
  return tir::make<ForNode>(v, make_int(0), make_int(extent), ForKind::unrolled, std::move(body));
}
Stmt vectorized_loop(const Var& v, int lanes, Stmt body) {
  return tir::make<ForNode>(v, make_int(0), make_int(lanes), ForKind::vectorized, std::move(body));
}
Stmt parallel_loop(const Var& v, const Expr& extent, const Expr& grain, Stmt body) {
  Attrs annotations;
  if (!is_const_int(grain, 1)) annotations.set("grain", grain);
  return tir::make<ForNode>(v, make_int(0), extent, ForKind::parallel, std::move(body), "",
                            std::move(annotations));
}
Stmt let_stmt(const Var& v, const Expr& value, Stmt body) {
  return tir::make<tir::LetNode>(v, value, std::move(body));
}
Stmt if_stmt(const Expr& condition, Stmt then_body, Stmt else_body) {
  int64_t known = 0;
  if (as_const_int(condition, &known)) {
    if (known) return then_body;
    return else_body ? else_body : tir::make_seq({});
  }
  return tir::make<tir::IfNode>(condition, std::move(then_body), std::move(else_body));
}
Stmt nest_loops(const std::vector<Var>& vars, const std::vector<Expr>& extents, Stmt body) {
  for (size_t i = vars.size(); i-- > 0;) body = serial_loop(vars[i], extents[i], std::move(body));
  return body;
}

Stmt vector_loop(const Expr& extent, int lanes, const std::string& name,
                 const std::function<Stmt(const Expr& i)>& body) {
  const Expr width = make_int(lanes);
  const Expr full = canonical(floor_div(extent, width));
  const Expr rest = canonical(floor_mod(extent, width));
  std::vector<Stmt> parts;
  if (!is_const_int(full, 0)) {
    Var o = loop_var(name + "_o"), v = loop_var(name + "_v");
    parts.push_back(serial_loop(o, full, vectorized_loop(v, lanes, body(o * width + v))));
  }
  if (!is_const_int(rest, 0)) {
    Var v = loop_var(name + "_v");
    Expr i = full * width + v;
    Stmt tail = vectorized_loop(v, lanes, tir::make<tir::IfNode>(lt(i, extent), body(i)));
    parts.push_back(if_stmt(lt(make_int(0), rest), std::move(tail)));
  }
  return tir::make_seq(std::move(parts));
}

std::vector<Expr> unflatten(const Expr& flat, const std::vector<Expr>& extents) {
  std::vector<Expr> result(extents.size());
  Expr rest = flat;
  for (size_t i = extents.size(); i-- > 0;) {
    result[i] = i == 0 ? rest : floor_mod(rest, extents[i]);
    if (i > 0) rest = floor_div(rest, extents[i]);
  }
  return result;
}

Expr product(const std::vector<Expr>& list) {
  Expr p = make_int(1);
  for (const Expr& e : list) p = p * e;
  return canonical(p);
}

Expr accumulate(te::Reducer reducer, const Expr& accumulator, const Expr& value) {
  if (reducer == te::Reducer::sum && value->kind == ExprKind::mul && value->dtype.is_float()) {
    return make_call(Intrinsic::fma, value->dtype,
                     std::vector<Expr>{value->args[0], value->args[1], accumulator});
  }
  return te::combine(reducer, accumulator, value);
}

namespace {

Stride stride_of(const Expr& load, const Var& axis) {
  const std::vector<Expr>& indices = load->args;
  bool used = false;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!uses_var(indices[i], axis)) continue;
    used = true;
    if (i + 1 < indices.size()) return Stride::other;
    Expr step = canonical(substitute(indices[i], {{axis.get(), axis + 1}}) - indices[i]);
    if (!is_const_int(step, 1)) return Stride::other;
  }
  return used ? Stride::unit : Stride::none;
}

}  // namespace

Stride stride_of_loads(const Expr& value, const Var& axis) {
  Stride worst = Stride::none;
  std::unordered_set<const ExprNode*> seen;
  visit(value, [&](const Expr& e) {
    if (!seen.insert(e.get()).second) return false;
    if (e->kind == ExprKind::load) worst = std::max(worst, stride_of(e, axis));
    return true;
  });
  return worst;
}

std::vector<Access> loads_of(const Expr& e) {
  std::vector<Access> result;
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    if (!seen.insert(node.get()).second) return false;
    if (const auto* load = as<LoadNode>(node)) result.push_back({load->buffer, node->args});
    return true;
  });
  return result;
}

namespace {

// The position of the first of `axes` among `indices` where all of them stand there in order and
// nowhere else; -1 where none occurs; -2 otherwise.
int position_of_axes(const std::vector<Var>& axes, const std::vector<Expr>& extents,
                     const Access& access) {
  int first = -1;
  for (size_t i = 0; i < access.indices.size(); ++i) {
    bool mentions = false;
    for (const Var& v : axes) mentions = mentions || uses_var(access.indices[i], v);
    if (!mentions) continue;
    if (first >= 0) return -2;
    if (i + axes.size() > access.indices.size()) return -2;
    for (size_t k = 0; k < axes.size(); ++k) {
      if (access.indices[i + k] != axes[k]) return -2;
      if (k > 0 && prove_equal(access.buffer->shape[i + k], extents[k]) != Truth::yes) return -2;
    }
    first = static_cast<int>(i);
    i += axes.size() - 1;
  }
  return first;
}

}  // namespace

std::optional<MergedAxes> merge_axes(const std::vector<Var>& axes, const std::vector<Expr>& extents,
                                     const std::vector<Access>& accesses, const std::string& name) {
  MergedAxes merged;
  merged.axis = loop_var(name);
  merged.count = axes.size();
  for (const Access& a : accesses) {
    const int at = position_of_axes(axes, extents, a);
    if (at == -2) return std::nullopt;
    auto known = merged.views.find(a.buffer.get());
    if (at < 0) {
      if (known != merged.views.end()) return std::nullopt;
      continue;
    }
    if (!a.buffer->strides.empty()) return std::nullopt;
    if (known != merged.views.end()) {
      if (known->second.second != static_cast<size_t>(at)) return std::nullopt;
      continue;
    }
    std::vector<Expr> shape(a.buffer->shape.begin(), a.buffer->shape.begin() + at);
    Expr whole = a.buffer->shape[at];
    for (size_t k = 1; k < axes.size(); ++k) whole = whole * a.buffer->shape[at + k];
    shape.push_back(canonical(whole));
    shape.insert(shape.end(), a.buffer->shape.begin() + at + static_cast<int>(axes.size()),
                 a.buffer->shape.end());
    merged.views.emplace(a.buffer.get(),
                         std::pair(make_buffer(a.buffer->name + "_view", std::move(shape),
                                               a.buffer->dtype, a.buffer->scope),
                                   static_cast<size_t>(at)));
  }
  // A buffer that some access leaves alone cannot be a view in another.
  for (const Access& a : accesses) {
    auto known = merged.views.find(a.buffer.get());
    if (known != merged.views.end() && position_of_axes(axes, extents, a) < 0) return std::nullopt;
  }
  return merged;
}

std::vector<Expr> MergedAxes::apply_indices(const Buffer& b, std::vector<Expr> indices) const {
  auto it = views.find(b.get());
  if (it == views.end()) return indices;
  const auto at = static_cast<int64_t>(it->second.second);
  std::vector<Expr> result(indices.begin(), indices.begin() + at);
  result.push_back(axis);
  result.insert(result.end(), indices.begin() + at + static_cast<int64_t>(count), indices.end());
  return result;
}

Buffer MergedAxes::view_of(const Buffer& b) const {
  auto it = views.find(b.get());
  return it == views.end() ? b : it->second.first;
}

Expr MergedAxes::apply(const Expr& e) const {
  return rewrite(e, [&](const Expr& node) -> Expr {
    const auto* load = as<LoadNode>(node);
    if (!load || !views.count(load->buffer.get())) return node;
    return make_load(view_of(load->buffer), apply_indices(load->buffer, node->args));
  });
}

Stmt MergedAxes::declare(Stmt body) const {
  std::vector<std::pair<uint64_t, const BufferNode*>> order;  // independent of addresses
  for (const auto& [buffer, view] : views) order.emplace_back(view.first->id, buffer);
  std::sort(order.begin(), order.end());
  for (const auto& [id, buffer] : order) {
    std::vector<Expr> zeros(buffer->shape.size(), make_int(0));
    Expr data = make_call(Intrinsic::buffer_data, dtypes::handle,
                          std::vector<Expr>{make_load(Buffer(buffer), std::move(zeros))});
    body = tir::make<tir::DeclareNode>(views.at(buffer).first, data, std::move(body));
  }
  return body;
}

}  // namespace repose
