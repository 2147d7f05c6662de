// tree_ensemble: y[n, t] = what the leaves that row x[n, :] ends in give to target t, summed over
// the trees (or their mean, least, largest).
//   A tree starts at node roots[i]. At a node the row's element features[node] is compared with
//   thresholds[node]: `modes` says how (0 <=, 1 <, 2 >=, 3 >, 4 ==, 5 !=, 6: it is a leaf); where
//   that holds, or where it is NaN and `missing[node]` isn't 0, the next node is yes[node], else
//   no[node]. Of a leaf, these are the first and the end of its entries (targets[k], weights[k]).
//     C1: x is a float (rows, features); thresholds and weights have its dtype; all others are
//         int64 of rank 1; those of nodes have one extent, those of entries another.
//     C2: there is at least one target; `aggregate` is "sum", "mean", "min" or "max".
//   Of "min" and "max", a target that no leaf gives anything is 0. A node, entry, feature or target
//   that isn't there is an error at run time.
#include <limits>

#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

// Operands.
enum Operand : size_t {
  x_,
  roots_,
  features_,
  thresholds_,
  modes_,
  missing_,
  yes_,
  no_,
  targets_,
  weights_,
  num_operands
};

Result<Type> infer_tree_ensemble(InferContext& context, const graph::CallNode& call) {
  std::vector<Dims> shapes;
  for (size_t i = 0; i < num_operands; ++i) {  // C1
    REPOSE_TRY(t, shaped_arg(context, call, i));
    REPOSE_REQUIRE(require_rank(context, call, i, i == x_ ? 2 : 1));
    const bool is_float = i == x_ || i == thresholds_ || i == weights_;
    auto dtype = dtype_arg(context, call, i, is_float ? is_float_dtype : is_integer_dtype,
                           is_float ? "a float" : "an integer");
    if (!dtype.ok()) return dtype.errors();
    if (is_float) {
      auto same = common_dtype(context, call, x_, i);
      if (!same.ok()) return same.errors();
    }
    shapes.push_back(*t->shape);
  }
  for (size_t i : {thresholds_, modes_, missing_, yes_, no_}) {
    REPOSE_REQUIRE(require_equal(context, call.op->name, shapes[i][0],
                                 fmt::format("dimension 0 of operand {}", static_cast<int>(i)),
                                 shapes[features_][0], "the number of nodes"));
  }
  REPOSE_REQUIRE(require_equal(context, call.op->name, shapes[weights_][0], "the number of weights",
                               shapes[targets_][0], "the number of targets"));
  const std::string aggregate = call.attrs.get_string("aggregate");
  const int64_t count = call.attrs.get_int("num_targets");
  const bool is_known =
      aggregate == "sum" || aggregate == "mean" || aggregate == "min" || aggregate == "max";
  if (!is_known || count < 1) {  // C2
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`tree_ensemble`: the aggregate \"{}\" of {} targets", aggregate, count);
  }
  const auto* x = graph::tensor_of(call.args[x_]);
  return tensor_like(*x, {shapes[x_][0], make_int(count)}, x->dtype);
}

class Forest {
 public:
  explicit Forest(const graph::CallNode& call)
      : args_(call.args), aggregate_(call.attrs.get_string("aggregate")) {
    for (size_t i = 0; i < num_operands; ++i) {
      buffers_.push_back(buffer_for(call.args[i], call.op->args[i].name));
    }
    y_ = make_buffer("y", result_shape(call), buffers_[x_]->dtype);
  }

  Result<graph::Value> emit(Builder& b) const {
    const tir::Stmt body = for_each(
        "n", y_->shape[0], [&](const Expr& n) { return of_row(n); }, tir::ForKind::parallel);
    return emit_program(b, "tree_ensemble", args_, buffers_, y_, body);
  }

 private:
  const Buffer& buffer(size_t i) const { return buffers_[i]; }
  Expr number(double value) const { return make_float(value, y_->dtype); }
  Expr entry(size_t operand, const Expr& i) const { return make_load(buffer(operand), {i}); }
  bool is_extreme() const { return aggregate_ == "min" || aggregate_ == "max"; }
  // An index that the data gives, as a subscript.
  Expr inside(const Expr& index, const Expr& extent) const {
    return make_call(Intrinsic::check_index, dtypes::index,
                     {make_cast(dtypes::index, index), extent, make_string("tree_ensemble")});
  }

  tir::Stmt of_row(const Expr& n) const {
    const double infinity = std::numeric_limits<double>::infinity();
    const double start = aggregate_ == "min" ? infinity : aggregate_ == "max" ? -infinity : 0;
    auto for_targets = [&](const std::function<Expr(const Expr&)>& f) {
      return for_each("t", y_->shape[1],
                      [&](const Expr& t) { return store(y_, {n, t}, f(make_load(y_, {n, t}))); });
    };
    std::vector<tir::Stmt> stmts{for_targets([&](const Expr&) { return number(start); })};
    stmts.push_back(for_each("tree", buffer(roots_)->shape[0],
                             [&](const Expr& tree) { return of_tree(n, tree); }));
    if (aggregate_ == "mean") {
      const Expr count = make_cast(y_->dtype, max(buffer(roots_)->shape[0], make_int(1)));
      stmts.push_back(
          for_targets([&](const Expr& y) { return make_binary(ExprKind::div, y, count); }));
    } else if (is_extreme()) {
      stmts.push_back(for_targets(
          [&](const Expr& y) { return make_select(eq(y, number(start)), number(0), y); }));
    }
    return tir::make_seq(stmts);
  }

  tir::Stmt of_tree(const Expr& n, const Expr& tree) const {
    const Cell node("node");
    const Expr &nodes = buffer(features_)->shape[0], &entries = buffer(targets_)->shape[0];
    const Expr at = inside(node.get(), nodes);
    const Expr feature = inside(entry(features_, at), buffer(x_)->shape[1]);
    const Expr value = make_load(buffer(x_), {n, feature}), limit = entry(thresholds_, at);
    const Expr mode = entry(modes_, at);
    auto is_mode = [&](int64_t m) { return eq(mode, make_int(m, mode->dtype)); };
    Expr holds = ne(value, limit);
    const Expr by_mode[] = {le(value, limit), lt(value, limit), le(limit, value), lt(limit, value),
                            eq(value, limit)};
    for (int64_t m = 5; m-- > 0;) holds = make_select(is_mode(m), by_mode[m], holds);
    const Expr is_missing = make_call(Intrinsic::isnan, dtypes::boolean, {value});
    const Expr tracks = ne(entry(missing_, at), make_int(0, buffer(missing_)->dtype));
    holds = logical_or(holds, logical_and(is_missing, tracks));
    const tir::Stmt walk = tir::make<tir::WhileNode>(
        make_not(is_mode(6)),
        node.set(make_cast(dtypes::index, make_select(holds, entry(yes_, at), entry(no_, at)))));
    const Expr first = load_index(buffer(yes_), {at}), end = load_index(buffer(no_), {at});
    const tir::Stmt give = with_values({first, end}, [&](const std::vector<Expr>& range) {
      return for_each("k", max(range[1] - range[0], make_int(0)), [&](const Expr& k) {
        const Expr i = inside(range[0] + k, entries);
        return with_values({inside(entry(targets_, i), y_->shape[1])},
                           [&](const std::vector<Expr>& t) {
                             const te::Indices to{n, t[0]};
                             const Expr before = make_load(y_, to), weight = entry(weights_, i);
                             return store(y_, to,
                                          aggregate_ == "min"   ? min(before, weight)
                                          : aggregate_ == "max" ? max(before, weight)
                                                                : Expr(before + weight));
                           });
      });
    });
    return with_cells({node},
                      tir::make_seq({node.set(load_index(buffer(roots_), {tree})), walk, give}));
  }

  std::vector<graph::Value> args_;
  std::string aggregate_;
  std::vector<Buffer> buffers_;
  Buffer y_;
};

Result<graph::Value> lower_tree_ensemble(Builder& b, const graph::CallNode& call) {
  return Forest(call).emit(b);
}

}  // namespace

const OpDef& op_tree_ensemble() {
  static const OpDef def{.name = "tree_ensemble",
                         .args = {{"x"},
                                  {"roots"},
                                  {"features"},
                                  {"thresholds"},
                                  {"modes"},
                                  {"missing"},
                                  {"yes"},
                                  {"no"},
                                  {"targets"},
                                  {"weights"}},
                         .attrs = {{"num_targets", AttrKind::integer, Attr(1)},
                                   {"aggregate", AttrKind::string, Attr("sum")}},
                         .infer = infer_tree_ensemble,
                         .lower = lower_tree_ensemble,
                         .doc = "the sum of what the leaves of decision trees give"};
  return def;
}

}  // namespace repose
