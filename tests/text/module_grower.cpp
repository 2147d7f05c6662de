// Each statement takes what is there, and adds what it makes.
#include "text/module_grower.h"

#include <algorithm>

#include "ops/ops.h"
#include "script/parser.h"

namespace repose::testing_text {

namespace {

using graph::make_constant;
using graph::make_function_call;
using graph::make_op_call;
using graph::make_prim;
using graph::make_shape;
using graph::make_tuple;
using graph::make_tuple_get;
using graph::Value;

// One program of results, one of an argument that it overwrites, one of a scalar.
constexpr const char* programs = R"(
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def double_it(A: T.Buffer(("n", "m"), "float32"), B: T.Buffer(("n", "m"), "float32")):
        for i, j in T.grid(n, m):
            with T.block("double"):
                vi, vj = T.axis.remap("SS", [i, j])
                B[vi, vj] = A[vi, vj] * T.float32(2)
    @T.prim_func(private=True)
    def accumulate(A: T.Buffer(("n",), "float32"), B: T.Buffer(("n",), "float32")):
        for i in range(n):
            B[i] = B[i] + A[i]
    @T.prim_func(private=True)
    def iota(k: T.int64(is_size_var=True), B: T.Buffer(("k",), "float32")):
        for i in range(k):
            B[i] = T.Cast("float32", i)
)";

Module base_module() {
  auto parsed = parse_module(make_text_source("programs", programs), standard_ops());
  REPOSE_CHECK(parsed.ok(), to_string(parsed.errors()));
  return *parsed;
}

Array floats(std::vector<int64_t> shape, std::mt19937& random) {
  Ref<ArrayNode> array = make_array(std::move(shape), dtypes::float32);
  for (int64_t i = 0; i < array->num_elements(); ++i) {
    array->store(i, Scalar::of_float(random() % 9 / 4.0 - 1, dtypes::float32));
  }
  return array;
}

bool is_float_tensor(const Value& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  return t && t->shape && t->dtype == dtypes::float32 && t->rank <= 3;
}
bool is_bool(const Value& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  const auto* p = as<PrimTypeNode>(v->type);
  return (t && t->rank == 0 && t->dtype.is_bool()) || (p && p->dtype.is_bool());
}
bool is_function(const Value& v) {
  return as<FunctionTypeNode>(v->type) != nullptr;
}
const Dims& dims(const Value& v) {
  return *graph::tensor_of(v)->shape;
}
int rank(const Value& v) {
  return graph::tensor_of(v)->rank;
}

}  // namespace

ModuleGrower::ModuleGrower(uint32_t seed)
    : random_(seed), builder_(standard_ops(), base_module()) {}

Module ModuleGrower::grow() {
  for (int i = pick(3); i > 0; --i) private_function();
  pool_.clear();
  sizes_.clear();
  has_effects_ = false;
  const std::vector<graph::Variable> params = parameters();
  function_body(params, 0, "main", false);
  return builder_.module();
}

// ---- What there is ------------------------------------------------------------------------------

Expr ModuleGrower::size() {
  if (sizes_.empty() || pick(5) == 0) return make_int(pick(4));
  Expr a = sizes_[static_cast<size_t>(pick(static_cast<int>(sizes_.size())))];
  if (as<VarNode>(a)->role == VarRole::value) a = max(a, make_int(0));
  switch (pick(8)) {
    case 0:
      return a + 1;
    case 1:
      return a * 2;
    case 2:
      return min(a, make_int(5));
    default:
      return a;
  }
}

template <class Predicate>
graph::Value ModuleGrower::find(Predicate fits) {
  const size_t begin = static_cast<size_t>(pick(static_cast<int>(pool_.size())));
  for (size_t i = 0; i < pool_.size(); ++i) {
    const Value& v = pool_[(begin + i) % pool_.size()];
    if (fits(v)) return v;
  }
  return nullptr;
}

graph::Value ModuleGrower::tensor() {
  Value found = find(is_float_tensor);
  return found && pick(12) ? found : make_constant(floats({1 + pick(3)}, random_));
}

graph::Value ModuleGrower::any_tensor() {
  Value found = find([](const Value& v) { return graph::tensor_of(v) != nullptr; });
  return found ? found : tensor();
}

void ModuleGrower::add(Result<graph::Variable> made) {
  if (!made.ok()) return;
  pool_.push_back(*made);
  for (const Var& v : free_vars((*made)->type)) {
    const bool is_new = std::none_of(sizes_.begin(), sizes_.end(),
                                     [&](const Expr& e) { return e.get() == v.get(); });
    if (is_new && builder_.binds(v.get()) && v->dtype.is_index()) sizes_.push_back(v);
  }
}

void ModuleGrower::call(const char* name, Values args, Attrs attrs, std::vector<Type> type_args) {
  add(builder_.emit(make_op_call(*standard_ops().find(name), std::move(args), std::move(attrs),
                                 std::move(type_args))));
}

std::vector<graph::Variable> ModuleGrower::parameters() {
  const Var m = make_var("m"), n = make_var("n");
  const Var k = make_var("k", dtypes::index, VarRole::value);
  const std::vector<Type> types{
      tensor_type({m, n}, dtypes::float32),
      tensor_type({n}, dtypes::float32),
      tensor_type({m, make_int(3)}, dtypes::float32),
      tensor_type({}, dtypes::boolean),
      tensor_type({m}, dtypes::int64),
      tensor_type_of_rank(2, dtypes::float32),
      tensor_type_of_rank(-1, dtypes::float32),
      tensor_type_of_rank(1, DType()),
      prim_type_of(k),
      prim_type(dtypes::int64),
      prim_type(dtypes::boolean),
      shape_type({m, n}),
      shape_type_of_rank(2),
      tuple_type({tensor_type({n}, dtypes::float32), prim_type(dtypes::int64)}),
      tuple_type({tuple_type({tensor_type({m, n}, dtypes::float32)}), shape_type({n})}),
      tensor_type({m * 2}, dtypes::float32)};
  std::vector<graph::Variable> params{graph::make_variable("x", types[0])};
  for (int i = pick(5); i > 0; --i) {
    const size_t at = static_cast<size_t>(pick(static_cast<int>(types.size())));
    params.push_back(graph::make_variable(fmt::format("p{}", i), types[at]));
  }
  if (pick(12) == 0) params.clear();
  return params;
}

// ---- Functions ----------------------------------------------------------------------------------

// Some of what is there; no function, which nothing could compare.
graph::Value ModuleGrower::finish() {
  Values results;
  for (int i = pick(4); i >= 0; --i) {
    const Value v = i ? any() : pool_.back();
    results.push_back(is_function(v) ? tensor() : v);
  }
  return results.size() == 1 && pick(4) ? results[0] : make_tuple(std::move(results));
}

// A function of statements; what it says of its effects is so.
graph::Value ModuleGrower::function_body(const std::vector<graph::Variable>& params, int depth,
                                         const char* name, bool is_private) {
  builder_.begin_function(name, params);
  for (const graph::Variable& p : params) add(Result<graph::Variable>(p));
  if (pool_.empty()) pool_.push_back(make_constant(floats({2}, random_)));
  statements(depth ? 1 + pick(4) : 3 + pick(9), depth);
  FunctionOptions options;
  options.is_pure = !has_effects_;
  options.is_private = is_private;
  auto done = builder_.end_function(finish(), options);
  REPOSE_CHECK(done.ok(), to_string(done.errors()));
  return *done;
}

void ModuleGrower::private_function() {
  pool_.clear();
  sizes_.clear();
  has_effects_ = false;
  const std::string name = builder_.module().fresh_name("f");
  function_body(parameters(), 2, name.c_str(), true);
  functions_.push_back(name);
}

void ModuleGrower::call_function() {
  Value callee = find(is_function);
  if (!functions_.empty() && (!callee || pick(2))) {
    const std::string& name =
        functions_[static_cast<size_t>(pick(static_cast<int>(functions_.size())))];
    callee = graph::make_global(name, builder_.module().graph_function(name)->type);
  }
  if (!callee) return;
  const auto* type = as<FunctionTypeNode>(callee->type);
  if (!type->pure && builder_.in_dataflow()) return;
  Values args;
  for (const Type& p : type->params) {
    args.push_back(leaf_like(p));
    if (!args.back()) return;
  }
  auto made = builder_.emit(make_function_call(callee, std::move(args)));
  if (made.ok() && !type->pure) has_effects_ = true;
  add(std::move(made));
}

// What is there of a type, up to its symbols; null: nothing.
graph::Value ModuleGrower::leaf_like(const Type& type) {
  if (Value found = find([&](const Value& v) {
        VarMap symbols;
        match_symbols(type, v->type, symbols);
        return is_subtype(v->type, substitute(type, symbols), builder_.facts()) != Truth::no;
      })) {
    return found;
  }
  if (const auto* p = as<PrimTypeNode>(type)) {
    return make_prim(p->dtype.is_bool() ? le(make_int(2), size()) : size());
  }
  const auto* s = as<ShapeTypeNode>(type);
  if (!s || s->rank < 0) return nullptr;
  Dims members(static_cast<size_t>(s->rank));
  for (Expr& d : members) d = size();
  return make_shape(std::move(members));
}

// What `fill` makes, with nothing of it left outside.
template <class Fill>
graph::Value ModuleGrower::region(Fill fill) {
  const Values pool = pool_;
  const std::vector<Expr> sizes = sizes_;
  Value result = fill();
  pool_ = pool;
  sizes_ = sizes;
  return result;
}

void ModuleGrower::local_function(int depth) {
  if (builder_.in_dataflow()) return;
  const Values outer = pool_;
  std::vector<graph::Variable> params;
  for (int i = 1 + pick(2); i > 0; --i) {
    const Value like = any();
    if (is_function(like)) return;
    params.push_back(
        graph::make_variable(fmt::format("a{}", i), pick(2) ? vaguer(like->type) : like->type));
  }
  const bool has_effects = has_effects_;
  has_effects_ = false;
  const Value closure = region([&] { return function_body(params, depth + 1, "local", false); });
  has_effects_ = has_effects;
  add(builder_.emit(closure, "g"));
  call_function();
}

// ---- Statements ---------------------------------------------------------------------------------

void ModuleGrower::statements(int count, int depth) {
  for (; count > 0; --count) statement(depth);
}

void ModuleGrower::statement(int depth) {
  switch (pick(22)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return arithmetic();
    case 4:
    case 5:
      return movement();
    case 6:
      return unknown_shape();
    case 7:
      return data_size();
    case 8:
    case 9:
    case 10:
      return cast();
    case 11:
    case 12:
      return tuple();
    case 13:
      return shape();
    case 14:
      return prim();
    case 15:
      return program();
    case 16:
      return packed(true);
    case 17:
      return packed(false);
    case 18:
      return depth < 3 ? branch(depth) : arithmetic();
    case 19:
      return depth < 2 ? loop(depth) : cast();
    case 20:
      return depth < 2 ? local_function(depth) : call_function();
    default:
      return depth < 3 ? dataflow(depth) : call_function();
  }
}

void ModuleGrower::arithmetic() {
  static constexpr const char* unary[] = {"exp", "nn.relu", "negative", "tanh", "abs"};
  static constexpr const char* binary[] = {"add", "multiply", "subtract", "maximum"};
  const Value v = tensor(), w = tensor();
  const int64_t axis = rank(v) > 0 ? pick(rank(v)) : 0;
  switch (pick(6)) {
    case 0:
      return call(unary[pick(5)], {v});
    case 1:
      if (rank(v) == 0) return;
      return call(pick(2) ? "sum" : "mean", {v}, {{"axis", Attr(std::vector<int64_t>{axis})}});
    case 2:
      if (rank(v) > 0) call("nn.softmax", {v}, {{"axis", Attr(axis)}});
      return;
    case 3:
      return call("greater", {v, w});
    default:
      return call(binary[pick(4)], {v, w});
  }
}

void ModuleGrower::movement() {
  const Value v = tensor();
  switch (pick(5)) {
    case 0:
      return call("permute_dims", {v});
    case 1:
      return call("reshape", {v, make_shape({num_elements(*graph::tensor_of(v))})});
    case 2:
      return call("flatten", {v});
    case 3:
      if (rank(v) == 0) return;
      return call("concat", {make_tuple({v, v})}, {{"axis", Attr(int64_t{pick(rank(v))})}});
    default:
      return call("full", {make_shape({size(), size()}), make_constant(floats({}, random_))},
                  {{"dtype", Attr(dtypes::float32)}});
  }
}

// Operators of tensors and shapes of which not all is known.
void ModuleGrower::unknown_shape() {
  const Value v = any_tensor();
  switch (pick(6)) {
    case 0:
      return call("negative", {v});
    case 1:
      return call("add", {v, v});
    case 2:
      return call("shape_of", {v});
    case 3:
      return call("astype", {v}, {{"dtype", Attr(dtypes::float32)}});
    case 4: {
      const Value s = find([](const Value& w) { return as<ShapeTypeNode>(w->type) != nullptr; });
      if (s) call(pick(2) ? "reshape" : "broadcast_to", {v, s});
      return;
    }
    default: {
      const Value s = find([](const Value& w) {
        const TensorTypeNode* t = graph::tensor_of(w);
        return t && t->rank == 1 && t->dtype == dtypes::int64;
      });
      if (s) call("tensor_to_shape", {s});
    }
  }
}

void ModuleGrower::data_size() {
  const Value v = tensor();
  switch (pick(3)) {
    case 0:
      return call("nonzero", {v});
    case 1: {
      const Value s = find([](const Value& w) { return as<ShapeTypeNode>(w->type) != nullptr; });
      if (s) call("shape_to_tensor", {s});
      return;
    }
    default:
      return call("astype", {v}, {{"dtype", Attr(dtypes::int64)}});
  }
}

// A type that a value of `type` may have: with fresh symbols, dimensions that are known here, or
// less of it.
Type ModuleGrower::cast_type(const Type& type) {
  auto members = [&](const std::optional<Dims>& known, int count,
                     VarRole role = VarRole::dimension) {
    Dims all(static_cast<size_t>(count < 0 ? pick(4) : count));
    for (size_t i = 0; i < all.size(); ++i) {
      const int way = pick(6);
      const bool is_new = way < 3 || !known;
      all[i] = way == 0 ? size() : is_new ? Expr(make_var("d", dtypes::index, role)) : (*known)[i];
    }
    return all;
  };
  if (pick(8) == 0) return vaguer(type);
  if (const auto* t = as<TensorTypeNode>(type)) {
    return tensor_type(members(t->shape, t->rank), t->dtype ? t->dtype : dtypes::float32);
  }
  if (const auto* s = as<ShapeTypeNode>(type)) {
    return shape_type(members(s->dims, s->rank, VarRole::value));
  }
  if (const auto* p = as<PrimTypeNode>(type)) {
    if (!p->dtype.is_bool() && pick(2)) {
      return prim_type_of(make_var("v", dtypes::index, VarRole::value));
    }
    return type;
  }
  if (const auto* t = as<TupleTypeNode>(type)) {
    std::vector<Type> fields;
    for (const Type& f : t->fields) fields.push_back(cast_type(f));
    return tuple_type(std::move(fields));
  }
  if (as<AnyTypeNode>(type)) {
    return tensor_type(members({}, pick(3)), dtypes::float32);
  }
  return type;
}

// A type above `type`.
Type ModuleGrower::vaguer(const Type& type) {
  const int way = pick(8);
  if (const auto* t = as<TensorTypeNode>(type)) {
    return way < 5 ? tensor_type_of_rank(t->rank, t->dtype)
                   : tensor_type_of_rank(-1, way < 7 ? t->dtype : DType());
  }
  if (const auto* s = as<ShapeTypeNode>(type)) return shape_type_of_rank(way < 5 ? s->rank : -1);
  if (const auto* p = as<PrimTypeNode>(type))
    return prim_type(p->dtype.is_index() ? dtypes::int64 : p->dtype);
  if (const auto* t = as<TupleTypeNode>(type)) {
    std::vector<Type> fields;
    for (const Type& f : t->fields) fields.push_back(pick(2) ? vaguer(f) : f);
    return tuple_type(std::move(fields));
  }
  return type;
}

void ModuleGrower::cast() {
  const Value v = pick(2) ? any() : any_tensor();
  if (is_function(v)) return;
  add(builder_.emit_match_cast(v, cast_type(v->type), pick(2) ? "cast" : ""));
}

void ModuleGrower::tuple() {
  const Value t = find([](const Value& v) {
    const auto* type = as<TupleTypeNode>(v->type);
    return type && !type->fields.empty();
  });
  if (t && pick(3)) {
    const int count = static_cast<int>(as<TupleTypeNode>(t->type)->fields.size());
    return add(builder_.emit(make_tuple_get(t, pick(count))));
  }
  Values fields;
  for (int i = pick(4); i > 0; --i) {
    Value v = any();
    if (!is_function(v)) fields.push_back(std::move(v));
  }
  add(builder_.emit(make_tuple(std::move(fields))));
}

void ModuleGrower::shape() {
  Dims members(static_cast<size_t>(pick(4)));
  for (Expr& d : members) d = size();
  add(builder_.emit(make_shape(std::move(members))));
}

void ModuleGrower::prim() {
  const Expr a = size(), b = size();
  add(builder_.emit(make_prim(pick(2) ? a * b - 3 : lt(a, b))));
}

// ---- Calls --------------------------------------------------------------------------------------

void ModuleGrower::program() {
  const Value v = tensor();
  const auto type = [](const Value& of) { return tensor_type(dims(of), dtypes::float32); };
  switch (pick(4)) {
    case 0:
      if (rank(v) != 2) return;
      return add(builder_.emit(make_call_tir(standard_ops(), "double_it", {v},
                                             {tensor_type(dims(v), dtypes::float32)})));
    case 1: {
      const Expr count = size();
      return add(builder_.emit(make_call_tir(standard_ops(), "iota", {make_prim(count)},
                                             {tensor_type({count}, dtypes::float32)})));
    }
    case 2:
      if (rank(v) == 0) return;
      return call("call_dps_packed", {make_ref<graph::ExternNode>("test.twice"), make_tuple({v})},
                  {}, {type(v)});
    default: {
      if (rank(v) != 1) return;
      auto sum = builder_.emit(make_op_call(*standard_ops().find("negative"), {v}));
      if (!sum.ok()) return;
      // Nothing else uses `sum`, which the call overwrites.
      return call("call_tir_inplace", {graph::make_global("accumulate"), make_tuple({v, *sum})},
                  {{"inplace_indices", Attr(std::vector<int64_t>{1})}}, {type(v)});
    }
  }
}

void ModuleGrower::packed(bool is_pure) {
  const Value v = any();
  if (is_function(v)) return;
  if (!is_pure) {
    if (builder_.in_dataflow()) return;
    has_effects_ = true;
    if (pick(2)) return call("print", {v}, {{"format", Attr("{}")}});
    return call("call_packed", {make_ref<graph::ExternNode>("test.note"), v}, {}, {void_type()});
  }
  const Value t = pick(4)
                      ? any_tensor()
                      : find([](const Value& w) { return as<AnyTypeNode>(w->type) != nullptr; });
  if (!t) return;
  if (pick(4) == 0 && is_float_tensor(t)) {
    return call("call_inplace_packed", {make_ref<graph::ExternNode>("test.accumulate"), t, t},
                {{"inplace_indices", Attr(std::vector<int64_t>{0})}},
                {tensor_type(dims(t), dtypes::float32)});
  }
  call("call_pure_packed", {make_ref<graph::ExternNode>("test.same"), t}, {},
       {pick(4) ? vaguer(t->type) : any_type()});
}

// ---- Regions ------------------------------------------------------------------------------------

void ModuleGrower::branch(int depth) {
  const Value condition = find(is_bool);
  if (!condition || builder_.in_dataflow()) return arithmetic();
  const Value like = any();
  if (is_function(like)) return;
  auto side = [&] {
    return region([&] {
      statements(1 + pick(3), depth + 1);
      const Value same =
          find([&](const Value& v) { return structural_equal(v->type, like->type); });
      if (pick(3) && same) return same;
      const Value kind = find([&](const Value& v) { return v->type->kind == like->type->kind; });
      return kind ? kind : like;
    });
  };
  builder_.begin_if(condition);
  builder_.begin_else(side());
  add(builder_.end_if(side()));
}

// Two or three iterations that carry a counter, and a tensor that may change its first dimension.
void ModuleGrower::loop(int depth) {
  const Value v = tensor();
  if (builder_.in_dataflow() || rank(v) == 0) return arithmetic();
  const bool grows = pick(3) == 0;
  auto carried = [&](const char* name) {
    Dims shape = dims(v);
    if (grows) shape[0] = make_var(name);
    return std::vector<graph::Variable>{
        graph::make_variable("i", prim_type_of(make_var("i", dtypes::index, VarRole::value))),
        graph::make_variable("h", tensor_type(std::move(shape), dtypes::float32))};
  };
  auto counter = [](const graph::Variable& i) { return as<PrimTypeNode>(i->type)->value; };
  const bool has_effects = has_effects_;
  std::vector<graph::Variable> params = carried("s");
  builder_.begin_function("cond", params);
  auto cond = builder_.end_function(make_prim(lt(counter(params[0]), make_int(2 + pick(2)))));
  params = carried("t");
  const Value body = region([&] {
    builder_.begin_function("body", params);
    add(Result<graph::Variable>(params[1]));
    has_effects_ = false;
    statements(1 + pick(3), depth + 1);
    const bool is_pure = !has_effects_;
    Value next = find([&](const Value& w) {
      return is_float_tensor(w) && structural_equal(w->type, params[1]->type);
    });
    if (grows) {
      auto longer =
          builder_.emit(make_op_call(*standard_ops().find("concat"), {make_tuple({next, next})},
                                     {{"axis", Attr(int64_t{0})}}));
      if (longer.ok()) next = *longer;
    }
    FunctionOptions options;
    options.is_pure = is_pure;
    auto done =
        builder_.end_function(make_tuple({make_prim(counter(params[0]) + 1), next}), options);
    REPOSE_CHECK(done.ok(), to_string(done.errors()));
    return *done;
  });
  has_effects_ = has_effects;
  REPOSE_CHECK(cond.ok(), to_string(cond.errors()));
  auto c = builder_.emit(*cond, "cond"), b = builder_.emit(body, "body");
  if (c.ok() && b.ok()) {
    call("while_loop", {*c, *b, make_tuple({make_prim(make_int(0)), v})});
  }
}

void ModuleGrower::dataflow(int depth) {
  if (builder_.in_dataflow()) return arithmetic();
  const Values outer = pool_;
  builder_.begin_dataflow();
  statements(2 + pick(4), depth + 1);
  const Values inner(pool_.begin() + static_cast<std::ptrdiff_t>(outer.size()), pool_.end());
  pool_ = outer;
  for (const Value& v : inner) {
    if (pick(2)) pool_.push_back(builder_.emit_output(v));
  }
  builder_.end_dataflow();
}

}  // namespace repose::testing_text
