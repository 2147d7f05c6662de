// unique(x): x without repetitions: its elements, or its slices along `axis`.
//   C1: x has a known rank and shape; `axis` is one of its axes, or None: x is flattened.
//   C2: `sorted`: in ascending order, slices by their elements in row-major order; otherwise in
//       the order of first occurrence. NaN is greater than everything else, and equal to NaN.
//   C3: the result is the values, or the tuple of them and of what is asked for: `return_index`,
//       the int64 index of the first occurrence of each; `return_inverse`, for each of the n
//       elements or slices of x where its value is among the values; `return_counts`, how often
//       each occurs.
//   C4: values, indices and counts have the extent k, a fresh symbol, with min(n, 1) <= k <= n.
// One program sorts and numbers what is different, which gives k; a second one fills.
#include "ops/ops.h"
#include "ops/sort.h"

namespace repose {

namespace {

std::optional<size_t> unique_axis(const graph::CallNode& call, int rank) {
  const Attr* given = call.attrs.find("axis");
  if (given->is_none()) return std::nullopt;
  const int64_t axis = call.attrs.get_int("axis");
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

// Of the values, and of what is asked for besides: the values alone where that is nothing.
template <class T>
std::vector<T> asked_for(const graph::CallNode& call, std::vector<T> all) {
  std::vector<T> asked{std::move(all[0])};
  size_t i = 1;
  for (const char* name : {"return_index", "return_inverse", "return_counts"}) {
    if (call.attrs.get_bool(name)) asked.push_back(std::move(all[i]));
    ++i;
  }
  return asked;
}

Result<Type> infer_unique(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, shaped_arg(context, call, 0));  // C1
  if (!call.attrs.find("axis")->is_none()) {
    auto axis = normalize_axis(context, call.op->name, call.attrs.get_int("axis"), x->rank);
    if (!axis.ok()) return axis.errors();
  }
  const std::optional<size_t> axis = unique_axis(call, x->rank);
  const Expr n = axis ? (*x->shape)[*axis] : element_count(*x->shape);
  const Var k = make_var("unique_count");
  REPOSE_REQUIRE(context.require(le(k, n), "", {}));  // C4
  REPOSE_REQUIRE(context.require(le(min(n, make_int(1)), k), "", {}));
  Dims values = axis ? *x->shape : Dims{n};
  values[axis.value_or(0)] = k;
  auto ints = [&](const Expr& extent) { return tensor_like(*x, {extent}, dtypes::int64); };
  const std::vector<Type> asked =
      asked_for<Type>(call, {tensor_like(*x, values, x->dtype), ints(k), ints(n), ints(k)});  // C3
  return asked.size() == 1 ? asked[0] : tuple_type(asked);
}

// The items that are compared: elements of the flat tensor, or slices along the axis.
struct Items {
  Buffer x;
  size_t axis = 0;
  Expr count, size;  // size: elements of one item

  // Element `e` of item `i`.
  Expr load(const Expr& i, const Expr& e) const {
    return make_load(x, with(row_major_indices(e, without(x->shape, axis)), axis, i));
  }
  // body(element of a, element of b) for one element after the other, as long as they are the same.
  tir::Stmt at_difference(const Expr& a, const Expr& b,
                          const std::function<tir::Stmt(const Expr&, const Expr&)>& body) const {
    const Cell e("e");
    const Expr u = load(a, e.get()), v = load(b, e.get());
    const tir::Stmt skip =
        tir::make<tir::WhileNode>(logical_and(lt(e.get(), size), is_same(u, v)), e.advance());
    return with_cells({e}, tir::make_seq({e.set(make_int(0)), skip,
                                          tir::make<tir::IfNode>(lt(e.get(), size), body(u, v))}));
  }
};

// group[i] = the number of the value of item i, count[0] = how many there are.
class Numbering {
 public:
  Numbering(const Items& items, const Buffer& group, const Buffer& count)
      : items_(items), group_(group), count_(count) {}

  tir::Stmt program(bool sorted) const {
    const tir::Stmt sort =
        sort_items(order_, items_.count, items_.count,
                   [&](const Expr& i, const Expr& j, const Buffer& precedes) {
                     return items_.at_difference(i, j, [&](const Expr& u, const Expr& v) {
                       return store(precedes, {make_int(0)}, is_less(u, v));
                     });
                   });
    const tir::Stmt number = sorted ? number_in_order() : number_by_occurrence();
    return with_buffers({order_, differs_, next_.buffer(), first_.buffer()},
                        tir::make_seq({sort, next_.set(make_int(0)), number,
                                       store(count_, {make_int(0)}, next_.get())}));
  }

 private:
  Expr item(const Expr& p) const { return load_index(order_, {p}); }

  // is_new(): before the first item in order that differs from the one before.
  tir::Stmt for_each_in_order(const std::function<tir::Stmt(const Expr& item)>& is_new,
                              const std::function<tir::Stmt(const Expr& item)>& always) const {
    const Indices at{make_int(0)};
    return for_each("p", items_.count, [&](const Expr& p) {
      const tir::Stmt compare = items_.at_difference(
          item(p - 1), item(p),
          [&](const Expr&, const Expr&) { return store(differs_, at, make_bool(true)); });
      return tir::make_seq({store(differs_, at, eq(p, make_int(0))),
                            tir::make<tir::IfNode>(lt(make_int(0), p), compare),
                            tir::make<tir::IfNode>(make_load(differs_, at), is_new(item(p))),
                            always(item(p))});
    });
  }
  tir::Stmt number_in_order() const {
    return for_each_in_order([&](const Expr&) { return next_.advance(); },
                             [&](const Expr& i) { return store(group_, {i}, next_.get() - 1); });
  }
  // First the group of an item is the first item that is the same: sorting keeps the order of
  // those. It has its number by the time the others are reached.
  tir::Stmt number_by_occurrence() const {
    const tir::Stmt first =
        for_each_in_order([&](const Expr& i) { return first_.set(i); },
                          [&](const Expr& i) { return store(group_, {i}, first_.get()); });
    const tir::Stmt number = for_each("i", items_.count, [&](const Expr& i) {
      const Expr leader = load_index(group_, {i});
      return tir::make<tir::IfNode>(
          eq(leader, i), tir::make_seq({store(group_, {i}, next_.get()), next_.advance()}),
          store(group_, {i}, make_load(group_, {leader})));
    });
    return tir::make_seq({first, number});
  }

  using Indices = te::Indices;
  Items items_;
  Buffer group_, count_;
  Buffer order_ = make_buffer("order", {items_.count}, dtypes::int64, Scope::workspace);
  Buffer differs_ = make_buffer("differs", {make_int(1)}, dtypes::boolean, Scope::local);
  Cell next_{"next"}, first_{"first"};
};

// first[g] = the first item of group g, times[g] = how many it has.
Result<graph::Value> emit_fill(Builder& b, const graph::Value& groups, const Expr& k) {
  const Buffer group = buffer_for(groups, "group");
  const Buffer first = make_buffer("first", {k}, dtypes::int64),
               times = make_buffer("times", {k}, dtypes::int64);
  const tir::Stmt clear =
      for_each("g", k, [&](const Expr& g) { return store(times, {g}, make_int(0)); });
  const tir::Stmt fill = for_each("i", group->shape[0], [&](const Expr& i) {
    const te::Indices g{load_index(group, {i})};
    return tir::make_seq(
        {tir::make<tir::IfNode>(eq(load_index(times, g), make_int(0)), store(first, g, i)),
         store(times, g, load_index(times, g) + 1)});
  });
  return emit_program(b, "unique", {groups}, {group}, std::vector<Buffer>{first, times},
                      tir::make_seq({clear, fill}));
}

Result<graph::Value> lower_unique(Builder& b, const graph::CallNode& call) {
  const TensorTypeNode* type = graph::tensor_of(call.args[0]);
  const std::optional<size_t> axis = unique_axis(call, type->rank);
  Dims shape = *type->shape;
  graph::Value x = call.args[0];
  if (!axis && shape.size() != 1) {
    shape = {element_count(shape)};
    REPOSE_TRY(flat, b.normalize(graph::make_op_call(op_reshape(), {x, graph::make_shape(shape)})));
    x = flat;
  }
  Items items{buffer_for(x, "x"), axis.value_or(0), nullptr, nullptr};
  items.count = shape[items.axis];
  items.size = element_count(without(shape, items.axis));

  const Buffer group = make_buffer("group", {items.count}, dtypes::int64),
               count = make_buffer("count", {make_int(1)}, dtypes::int64);
  const Numbering numbering(items, group, count);
  REPOSE_TRY(numbered,
             emit_program(b, "unique_number", {x}, {items.x}, std::vector<Buffer>{group, count},
                          numbering.program(call.attrs.get_bool("sorted"))));
  REPOSE_TRY(both, b.normalize(numbered));
  REPOSE_TRY(groups, b.normalize(graph::make_tuple_get(both, 0)));
  REPOSE_TRY(k, bind_count(b, graph::make_tuple_get(both, 1), "unique",
                           min(items.count, make_int(1)), items.count));
  REPOSE_TRY(filled, emit_fill(b, groups, k));
  REPOSE_TRY(found, b.normalize(filled));
  REPOSE_TRY(first, b.normalize(graph::make_tuple_get(found, 0)));
  REPOSE_TRY(times, b.normalize(graph::make_tuple_get(found, 1)));
  const graph::Value values =
      graph::make_op_call(op_take(), {x, first}, Attrs{{"axis", static_cast<int64_t>(items.axis)}});
  const std::vector<graph::Value> asked =
      asked_for<graph::Value>(call, {values, first, groups, times});
  return asked.size() == 1 ? asked[0] : graph::make_tuple(asked);
}

}  // namespace

const OpDef& op_unique() {
  static const OpDef def{
      .name = "unique",
      .args = {{"x"}},
      .attrs = {{"sorted", AttrKind::boolean, Attr(true)},
                {"return_index", AttrKind::boolean, Attr(false)},
                {"return_inverse", AttrKind::boolean, Attr(false)},
                {"return_counts", AttrKind::boolean, Attr(false)},
                {"axis", AttrKind::optional_integer, Attr()}},
      .infer = infer_unique,
      .lower = lower_unique,
      .doc =
          "elements or slices along `axis` without repetitions; on demand where each occurs "
          "first, where x's are among them, how often each occurs"};
  return def;
}

}  // namespace repose
