// Detections of images as TVM has them: rows of numbers for each box, in fixed places.
//   vision.get_valid_counts: the rows that are valid, in front, in their order.
//     C1: data is a float of shape (batch, n, elements); `score_index` is one of the elements,
//         `id_index` another one, or negative: there is none.
//     C2: a row is valid where its score exceeds `score_threshold`, and its class is not negative.
//         The results are the int32 number of valid rows; data with them in front, -1 elsewhere;
//         the int32 place that each came from, -1 elsewhere.
//   vision.non_max_suppression: boxes that don't overlap a better one.
//     C3: data is as in C1, of which the elements from `coord_start` on are two opposite corners;
//         valid_count is int32 of shape (batch,), indices int32 of shape (batch, n).
//     C4: the first valid_count rows count, by descending score, equal ones in their order; at most
//         `top_k` of them (below 1: all). One with a score that isn't positive, or behind
//         `max_output_size` others (below 1: none is), is dropped. Each that is taken drops later
//         ones of its class (any: `force_suppress`, or no class) where their intersection over
//         union is at least `iou_threshold`.
//     C5: with `soft_nms_sigma` > 0 overlapping ones are kept, with their score times
//         exp(-iou * iou / sigma); ones of at most `score_threshold` drop nothing.
//     C6: the result with `return_indices` is int32: where indices say that those that are kept
//         come from, in order, -1 behind them, (batch, n); and how many they are, (batch, 1).
//         Before them stand the rows where scores decay. Without, it is the rows by score, those
//         that are dropped all -1: in their places, or with `invalid_to_bottom` behind the others.
// Each is one program, whose batches run in parallel.
#include "ops/composite.h"
#include "ops/sort.h"

namespace repose {

namespace {

// C1
Result<const TensorTypeNode*> detections(InferContext& context, const graph::CallNode& call) {
  auto real = dtype_arg(context, call, 0, is_float_dtype, "a float");
  if (!real.ok()) return real.errors();
  REPOSE_REQUIRE(require_rank(context, call, 0, 3));
  REPOSE_TRY(data, tensor_arg(context, call, 0));
  for (const char* name : {"score_index", "id_index"}) {
    const int64_t index = call.attrs.get_int(name);
    if (index < 0 && name != std::string_view("id_index")) {
      return error(DiagnosticKind::bad_attribute, context.span(),
                   "`{}`: {} is {}, expected at least 0", call.op->name, name, index);
    }
    if (!data->shape || index < 0) continue;
    REPOSE_REQUIRE(context.require(
        lt(make_int(index), (*data->shape)[2]),
        fmt::format("`{}`: {} is {{0}}, there are {{1}} elements", call.op->name, name),
        {make_int(index), (*data->shape)[2]}));
  }
  return data;
}

Result<Type> infer_get_valid_counts(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(data, detections(context, call));
  if (!data->shape) {
    return tuple_type({ranked_like(*data, 1, dtypes::int32), ranked_like(*data, 3, data->dtype),
                       ranked_like(*data, 2, dtypes::int32)});
  }
  const Dims& d = *data->shape;
  return tuple_type({tensor_like(*data, {d[0]}, dtypes::int32), tensor_like(*data, d, data->dtype),
                     tensor_like(*data, {d[0], d[1]}, dtypes::int32)});
}

Expr int32_of(const Expr& index) {
  return make_cast(dtypes::int32, index);
}

// to[b, row, :] = each element of the row by f(e).
tir::Stmt store_row(const Buffer& to, const Expr& b, const Expr& row,
                    const std::function<Expr(const Expr&)>& f) {
  return for_each("e", to->shape[2], [&](const Expr& e) { return store(to, {b, row, e}, f(e)); });
}

Result<graph::Value> lower_get_valid_counts(Builder& b, const graph::CallNode& call) {  // C2
  const Buffer data = buffer_for(call.args[0], "data");
  const Dims& shape = data->shape;
  const Buffer counts = make_buffer("counts", {shape[0]}, dtypes::int32),
               rows = make_buffer("rows", shape, data->dtype),
               places = make_buffer("places", {shape[0], shape[1]}, dtypes::int32);
  const Expr threshold = make_const(data->dtype, call.attrs.get_float("score_threshold"));
  const int64_t id = call.attrs.get_int("id_index");
  const Expr score = make_int(call.attrs.get_int("score_index"));
  const tir::Stmt body = for_each_element("b", {shape[0]}, [&](const te::Indices& at) {
    const Expr& batch = at[0];
    const Cell count("count");
    const tir::Stmt take = for_each("j", shape[1], [&](const Expr& j) {
      Expr is_valid = lt(threshold, make_load(data, {batch, j, score}));
      if (id >= 0) {
        is_valid = logical_and(
            is_valid, le(make_const(data->dtype, 0), make_load(data, {batch, j, make_int(id)})));
      }
      return tir::make<tir::IfNode>(
          is_valid,
          tir::make_seq({store_row(rows, batch, count.get(),
                                   [&](const Expr& e) { return make_load(data, {batch, j, e}); }),
                         store(places, {batch, count.get()}, int32_of(j)), count.advance()}));
    });
    const tir::Stmt rest = for_each("k", shape[1] - count.get(), [&](const Expr& k) {
      const Expr row = count.get() + k;
      return tir::make_seq(
          {store_row(rows, batch, row, [&](const Expr&) { return make_const(data->dtype, -1); }),
           store(places, {batch, row}, make_int(-1, dtypes::int32))});
    });
    return with_cells({count}, tir::make_seq({count.set(make_int(0)), take, rest,
                                              store(counts, {batch}, int32_of(count.get()))}));
  });
  return emit_program(b, "get_valid_counts", {call.args[0]}, {data},
                      std::vector<Buffer>{counts, rows, places}, body);
}

// ---- Suppression --------------------------------------------------------------------------------

bool is_soft(const graph::CallNode& call) {
  return call.attrs.get_float("soft_nms_sigma") > 0;
}

Result<Type> infer_suppression(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(data, detections(context, call));
  const std::string_view op = call.op->name;
  for (const size_t i : {size_t{1}, size_t{2}}) {  // C3
    REPOSE_REQUIRE(require_rank(context, call, i, static_cast<int>(i)));
    const DType dtype = graph::tensor_of(call.args[i])->dtype;
    if (dtype && dtype != dtypes::int32) {
      return error(DiagnosticKind::dtype_mismatch, context.span(),
                   "`{}`: operand {} has dtype {}, expected int32", op, i, dtype.to_string());
    }
  }
  const int64_t first = call.attrs.get_int("coord_start");
  if (first < 0) {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: coord_start is {}, expected at least 0", op, first);
  }
  const bool gives_indices = call.attrs.get_bool("return_indices");
  if (!has_shapes(call)) {
    const Type rows = ranked_like(*data, 3, data->dtype),
               matrix = ranked_like(*data, 2, dtypes::int32);
    if (!gives_indices) return rows;
    return is_soft(call) ? tuple_type({rows, matrix, matrix}) : tuple_type({matrix, matrix});
  }
  const Dims& d = *data->shape;
  const Dims &counts = *graph::tensor_of(call.args[1])->shape,
             &indices = *graph::tensor_of(call.args[2])->shape;
  REPOSE_REQUIRE(context.require(
      le(make_int(first + 4), d[2]),
      fmt::format("`{}`: four coordinates from element {{0}} on, there are {{1}} elements", op),
      {make_int(first), d[2]}));
  REPOSE_REQUIRE(require_equal(context, op, counts[0], "the number of counts", d[0], "the batch"));
  REPOSE_REQUIRE(
      require_equal(context, op, indices[0], "dimension 0 of operand 2", d[0], "the batch"));
  REPOSE_REQUIRE(require_equal(context, op, indices[1], "dimension 1 of operand 2", d[1],
                               "the number of rows"));
  const Type rows = tensor_like(*data, d, data->dtype),
             places = tensor_like(*data, {d[0], d[1]}, dtypes::int32),
             numbers = tensor_like(*data, {d[0], make_int(1)}, dtypes::int32);
  if (!gives_indices) return rows;  // C6
  return is_soft(call) ? tuple_type({rows, places, numbers}) : tuple_type({places, numbers});
}

class Suppression {
 public:
  explicit Suppression(const graph::CallNode& call)
      : call_(call),
        data_(buffer_for(call.args[0], "data")),
        valid_(buffer_for(call.args[1], "valid")),
        indices_(buffer_for(call.args[2], "indices")),
        dtype_(data_->dtype) {
    const Dims& d = data_->shape;
    rows_ = make_buffer("rows", d, dtype_);
    places_ = make_buffer("places", {d[0], d[1]}, dtypes::int32);
    numbers_ = make_buffer("numbers", {d[0], make_int(1)}, dtypes::int32);
    keeps_ = make_buffer("keeps", {d[1]}, dtypes::boolean, Scope::workspace);
    order_ = make_buffer("order", {d[1]}, dtypes::int64, Scope::workspace);
  }

  Result<graph::Value> emit(Builder& b) const {
    REPOSE_TRY(all, emit_program(b, "suppress_boxes", call_.args, {data_, valid_, indices_},
                                 std::vector<Buffer>{rows_, places_, numbers_}, program()));
    REPOSE_TRY(results, b.normalize(all));
    auto item = [&](int i) { return graph::make_tuple_get(results, i); };
    if (!call_.attrs.get_bool("return_indices")) return item(0);
    std::vector<graph::Value> asked{item(1), item(2)};
    if (is_soft(call_)) asked.insert(asked.begin(), item(0));
    for (graph::Value& v : asked) {
      REPOSE_TRY(leaf, b.normalize(v));
      v = leaf;
    }
    return graph::make_tuple(asked);
  }

 private:
  int64_t integer(const char* name) const { return call_.attrs.get_int(name); }
  Expr number(double value) const { return make_const(dtype_, value); }
  Expr element(const Expr& b, const Expr& row, int64_t e) const {
    return make_load(rows_, {b, row, make_int(e)});
  }
  Expr score(const Expr& b, const Expr& row) const {
    return element(b, row, integer("score_index"));
  }
  Expr least_score() const {
    return number(is_soft(call_) ? call_.attrs.get_float("score_threshold") : 0);
  }

  tir::Stmt program() const {
    return for_each_element("b", {data_->shape[0]}, [&](const te::Indices& at) {
      const Expr& b = at[0];
      const Expr &n = data_->shape[1], zero = make_int(0);
      const Expr valid = min(max(load_index(valid_, {b}), zero), n);
      const tir::Stmt sort = sort_items(
          order_, valid_count_.get(), valid_count_.get(),
          [&](const Expr& i, const Expr& j, const Buffer& precedes) {
            const Expr s = make_int(integer("score_index"));
            return store(precedes, {zero},
                         is_less(make_load(data_, {b, j, s}), make_load(data_, {b, i, s})));
          });
      const int64_t top = integer("top_k");
      const Expr looked_at = top > 0 ? min(valid_count_.get(), make_int(top)) : valid_count_.get();
      const tir::Stmt copy = for_each("row", n, [&](const Expr& row) {
        const Expr is_there = lt(row, count_.get());
        const auto source = [&](const Expr& e) {
          return make_if_then_else(is_there, make_load(data_, {b, load_index(order_, {row}), e}),
                                   number(-1));
        };
        return tir::make_seq({store_row(rows_, b, row, source), store(keeps_, {row}, is_there)});
      });
      return with_buffers(
          {keeps_, order_, valid_count_.buffer(), count_.buffer(), taken_.buffer()},
          tir::make_seq({valid_count_.set(valid), sort, count_.set(looked_at), copy,
                         taken_.set(zero),
                         for_each("j", count_.get(), [&](const Expr& j) { return look_at(b, j); }),
                         gather_indices(b), move_up(b)}));
    });
  }

  tir::Stmt drop(const Expr& b, const Expr& row) const {
    return tir::make_seq({store_row(rows_, b, row, [&](const Expr&) { return number(-1); }),
                          store(keeps_, {row}, make_bool(false))});
  }

  // C4
  tir::Stmt look_at(const Expr& b, const Expr& j) const {
    const int64_t most = integer("max_output_size");
    tir::Stmt take =
        tir::make_seq({taken_.advance(), for_each("k", count_.get() - j - 1, [&](const Expr& k) {
                         return suppress(b, j, j + 1 + k);
                       })});
    if (most > 0) {
      take = tir::make<tir::IfNode>(lt(taken_.get(), make_int(most)), take, drop(b, j));
    }
    const Expr counts = lt(least_score(), score(b, j));
    return is_soft(call_) ? tir::make<tir::IfNode>(counts, take)
                          : tir::make<tir::IfNode>(counts, take, drop(b, j));
  }

  tir::Stmt suppress(const Expr& b, const Expr& j, const Expr& k) const {
    const int64_t id = integer("id_index");
    Expr meets = lt(least_score(), score(b, k));
    if (!call_.attrs.get_bool("force_suppress") && id >= 0) {
      meets = logical_and(meets, eq(element(b, j, id), element(b, k, id)));
    }
    const double limit = call_.attrs.get_float("iou_threshold");
    const Expr place = make_int(integer("score_index"));
    return tir::make<tir::IfNode>(
        meets, with_values({overlap(b, j, k)}, [&](const auto& v) {
          const tir::Stmt then =
              is_soft(call_)
                  ? store(
                        rows_, {b, k, place},
                        score(b, k) *
                            make_call(Intrinsic::exp,
                                      make_binary(ExprKind::div, number(0) - v[0] * v[0],
                                                  number(call_.attrs.get_float("soft_nms_sigma")))))
                  : tir::make_seq({store(rows_, {b, k, place}, number(-1)),
                                   store(keeps_, {k}, make_bool(false))});
          return tir::make<tir::IfNode>(le(number(limit), v[0]), then);
        }));
  }

  // The intersection over union of two rows; 0 where the union has no area.
  Expr overlap(const Expr& b, const Expr& j, const Expr& k) const {
    const int64_t first = integer("coord_start");
    auto low = [&](const Expr& row, int64_t c) {
      return min(element(b, row, first + c), element(b, row, first + c + 2));
    };
    auto high = [&](const Expr& row, int64_t c) {
      return max(element(b, row, first + c), element(b, row, first + c + 2));
    };
    auto common = [&](int64_t c) {
      return max(min(high(j, c), high(k, c)) - max(low(j, c), low(k, c)), number(0));
    };
    auto area = [&](const Expr& row) {
      return (high(row, 0) - low(row, 0)) * (high(row, 1) - low(row, 1));
    };
    const Expr both = common(0) * common(1), all = area(j) + area(k) - both;
    return make_if_then_else(lt(number(0), all), make_binary(ExprKind::div, both, all), number(0));
  }

  // C6
  tir::Stmt gather_indices(const Expr& b) const {
    const Expr& n = data_->shape[1];
    const Cell next("next");
    const tir::Stmt gather = for_each("j", n, [&](const Expr& j) {
      return tir::make<tir::IfNode>(
          make_load(keeps_, {j}),
          tir::make_seq(
              {store(places_, {b, next.get()}, make_load(indices_, {b, load_index(order_, {j})})),
               next.advance()}));
    });
    const tir::Stmt rest = for_each("k", n - next.get(), [&](const Expr& k) {
      return store(places_, {b, next.get() + k}, make_int(-1, dtypes::int32));
    });
    return with_cells(
        {next}, tir::make_seq({next.set(make_int(0)), gather,
                               store(numbers_, {b, make_int(0)}, int32_of(next.get())), rest}));
  }
  tir::Stmt move_up(const Expr& b) const {
    if (call_.attrs.get_bool("return_indices") || !call_.attrs.get_bool("invalid_to_bottom")) {
      return tir::make_seq({});
    }
    const Cell next("next");
    const tir::Stmt move = for_each("j", data_->shape[1], [&](const Expr& j) {
      const tir::Stmt up = store_row(rows_, b, next.get(),
                                     [&](const Expr& e) { return make_load(rows_, {b, j, e}); });
      return tir::make<tir::IfNode>(le(number(0), score(b, j)),
                                    tir::make_seq({up, next.advance()}));
    });
    const tir::Stmt rest = for_each("k", data_->shape[1] - next.get(), [&](const Expr& k) {
      return store_row(rows_, b, next.get() + k, [&](const Expr&) { return number(-1); });
    });
    return with_cells({next}, tir::make_seq({next.set(make_int(0)), move, rest}));
  }

  const graph::CallNode& call_;
  Buffer data_, valid_, indices_;
  DType dtype_;
  Buffer rows_, places_, numbers_, keeps_, order_;
  Cell valid_count_{"valid_count"}, count_{"count"}, taken_{"taken"};
};

Result<graph::Value> lower_suppression(Builder& b, const graph::CallNode& call) {
  return Suppression(call).emit(b);
}

}  // namespace

const OpDef& op_vision_get_valid_counts() {
  static const OpDef def{.name = "vision.get_valid_counts",
                         .args = {{"data"}},
                         .attrs = {{"score_threshold", AttrKind::number, Attr(0.0)},
                                   {"id_index", AttrKind::integer, Attr(0)},
                                   {"score_index", AttrKind::integer, Attr(1)}},
                         .infer = infer_get_valid_counts,
                         .lower = lower_get_valid_counts,
                         .doc =
                             "how many boxes of each image are valid, the boxes with those in "
                             "front, and where each comes from"};
  return def;
}

const OpDef& op_vision_non_max_suppression() {
  static const OpDef def{
      .name = "vision.non_max_suppression",
      .args = {{"data"}, {"valid_count"}, {"indices"}},
      .attrs = {{"max_output_size", AttrKind::integer, Attr(-1)},
                {"iou_threshold", AttrKind::number, Attr(0.5)},
                {"force_suppress", AttrKind::boolean, Attr(false)},
                {"top_k", AttrKind::integer, Attr(-1)},
                {"coord_start", AttrKind::integer, Attr(2)},
                {"score_index", AttrKind::integer, Attr(1)},
                {"id_index", AttrKind::integer, Attr(0)},
                {"return_indices", AttrKind::boolean, Attr(true)},
                {"invalid_to_bottom", AttrKind::boolean, Attr(false)},
                {"soft_nms_sigma", AttrKind::number, Attr(0.0)},
                {"score_threshold", AttrKind::number, Attr(0.0)}},
      .infer = infer_suppression,
      .lower = lower_suppression,
      .doc = "boxes that don't overlap a better one of their class, as TVM and MXNet have them"};
  return def;
}

}  // namespace repose
