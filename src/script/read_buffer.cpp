// Buffers of the text: their declarations, views of them, and the regions that blocks name.
#include "expr/facts.h"
#include "script/literal.h"
#include "script/read_attr.h"
#include "script/suggest.h"
#include "script/tensor_reader.h"

namespace repose::script {

namespace {

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

}  // namespace

// ---- Declarations

struct TensorReader::BufferArguments {
  const Node* shape = nullptr;
  const Node* dtype = nullptr;
  const Node* data = nullptr;
  const Node* strides = nullptr;
  const Node* elem_offset = nullptr;
  const Node* scope = nullptr;
  const Node* align = nullptr;
  const Node* offset_factor = nullptr;
};

std::optional<TensorReader::BufferArguments> TensorReader::sort_arguments(const Node& call,
                                                                          size_t shape_arg) {
  using Member = const Node* BufferArguments::*;
  static constexpr std::pair<std::string_view, Member> members[] = {
      {"shape", &BufferArguments::shape},
      {"dtype", &BufferArguments::dtype},
      {"data", &BufferArguments::data},
      {"strides", &BufferArguments::strides},
      {"elem_offset", &BufferArguments::elem_offset},
      {"scope", &BufferArguments::scope},
      {"align", &BufferArguments::align},
      {"offset_factor", &BufferArguments::offset_factor}};
  constexpr size_t count = std::size(members);
  BufferArguments given;
  std::string callee = callee_name(&call);
  bool has_data = callee != "T.alloc_buffer" && callee != "T.allocate_buffer";
  for (size_t i = shape_arg; i < call.kids.size(); ++i) {
    size_t k = i - shape_arg;
    if (k >= 2 && !has_data) k += 3;  // (shape, dtype, scope)
    if (k >= count) {
      fail(call.kids[i]->at, DiagnosticKind::bad_argument, "too many arguments of a buffer");
      return std::nullopt;
    }
    given.*members[k].second = call.kids[i];
  }
  std::vector<std::string> names;
  for (const auto& [name, member] : members) names.emplace_back(name);
  for (const Keyword& k : call.keywords) {
    if (k.name == "axis_separators" || k.name == "buffer_type" || k.name == "layout") continue;
    auto known = std::find(names.begin(), names.end(), k.name);
    if (known == names.end()) {
      fail(k.at, DiagnosticKind::bad_argument, "a buffer has no `{}`{}", k.name,
           suggest(k.name, names));
      return std::nullopt;
    }
    given.*members[known - names.begin()].second = k.value;
  }
  for (const auto& [name, member] : members) {  // None: left out
    if (given.*member && (given.*member)->kind == NodeKind::none) given.*member = nullptr;
  }
  return given;
}

bool TensorReader::read_scope(const Node& node, Scope* scope) {
  for (Scope s : {Scope::global, Scope::local, Scope::shared, Scope::workspace}) {
    if (node.kind != NodeKind::string || node.text != scope_name(s)) continue;
    *scope = s;
    return true;
  }
  fail(node.at, DiagnosticKind::bad_argument,
       "expected the scope \"global\", \"local\", \"shared\" or \"workspace\"");
  return false;
}

std::optional<int> TensorReader::read_alignment(const Node& node) {
  auto value = constant_integer(node);
  if (value && *value >= -1 && *value <= 4096)
    return static_cast<int>(std::max<int64_t>(*value, 0));
  fail(node.at, DiagnosticKind::bad_argument, "expected an alignment of at most 4096 bytes");
  return std::nullopt;
}

Buffer TensorReader::read_buffer(const Node& call, const std::string& name, size_t shape_arg,
                                 const tir::Region* viewed) {
  auto given = sort_arguments(call, shape_arg);
  if (!given) return nullptr;
  std::vector<Expr> shape;
  if (given->shape) {
    auto dims = exprs_.read_shape(*given->shape);
    if (!dims) return nullptr;
    shape = std::move(*dims);
  } else if (viewed) {
    for (const tir::Range& r : viewed->ranges) shape.push_back(r.extent);
  } else {
    return fail(call.at, DiagnosticKind::bad_argument, "a buffer needs a shape");
  }
  DType dtype = viewed ? viewed->buffer->dtype : dtypes::float32;
  if (given->dtype) {
    auto d = exprs_.read_dtype(*given->dtype);
    if (!d) return nullptr;
    dtype = *d;
  }
  if (!dtype || dtype.is_vector()) {
    return fail(call.at, DiagnosticKind::bad_literal, "a buffer of dtype `{}`", dtype.to_string());
  }
  new_role_ = VarRole::value;
  auto strides = given->strides ? exprs_.read_shape(*given->strides) : std::vector<Expr>{};
  Expr offset = given->elem_offset ? exprs_.read_quoted(*given->elem_offset) : nullptr;
  new_role_ = VarRole::dimension;
  if (!strides || (given->elem_offset && !offset)) return nullptr;
  if (!strides->empty() && strides->size() != shape.size()) {
    return fail(given->strides->at, DiagnosticKind::rank_mismatch, "{} strides for {} dimensions",
                strides->size(), shape.size());
  }
  Scope scope = viewed ? viewed->buffer->scope : Scope::global;
  if (given->scope && !read_scope(*given->scope, &scope)) return nullptr;
  auto align = given->align ? read_alignment(*given->align) : 0;
  if (!align) return nullptr;
  return make_buffer(name, std::move(shape), dtype, scope, std::move(*strides), std::move(offset),
                     *align);
}

Expr TensorReader::read_handle(const Node& node) {
  Expr handle = exprs_.read(node);
  if (!handle || handle->dtype.is_handle()) return handle;
  return fail(node.at, DiagnosticKind::dtype_mismatch, "expected a handle, found `{}`",
              handle->dtype.to_string());
}

// ---- Views and regions

// The buffer of a parameter that is a handle.
bool TensorReader::match_handle(const Node& call, const std::string& handle,
                                const std::string& name) {
  size_t index = handles_[handle];
  new_symbols_ = true;
  Buffer b = read_buffer(call, name, 2);
  new_symbols_ = false;
  if (!b) return false;
  handles_.erase(handle);
  params_[index] = tir::buffer_param(b);
  data_[b.get()] = params_[index].var;
  scopes_.outermost().erase(handle);
  define(name, b);
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
    return match_handle(call, source.text, name);
  }
  auto region = read_region(source);
  if (!region) return false;
  Buffer b = read_buffer(call, name, 2, &*region);
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
    fail(base.at, DiagnosticKind::unknown_name, "unknown buffer `{}`{}", written_name(base),
         context_.hint(base.text, [&] { return candidates(); }));
    return std::nullopt;
  }
  tir::Region region{buffer, {}};
  if (node.kind == NodeKind::name) {
    for (const Expr& extent : buffer->shape) region.ranges.push_back({make_int(0), extent});
    return region;
  }
  std::span<Node* const> given = subscript_indices(node);
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

}  // namespace repose::script
