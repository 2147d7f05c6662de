// non_max_suppression(boxes, scores, max_output, iou_threshold, score_threshold): per batch and
// class, the best boxes that don't overlap a better one of them.
//   C1: boxes (batch, n, 4) and scores (batch, classes, n) have the same float dtype, the
//       thresholds too; these have one element.
//   C2: a box is (y1, x1, y2, x2), two opposite corners; with `center_point_box` (x, y, width,
//       height) around its center.
//   C3: boxes are looked at by descending score, of equal ones that with the lower index first.
//       Only those whose score exceeds `score_threshold` count (left out: all). A box is dropped
//       where its intersection over union with one that was taken exceeds `iou_threshold` (left
//       out: 0). At most `max_output` are taken, none where that is negative.
//   C4: the result is int64 of shape (k, 3): batch, class and box, sorted by batch and class, then
//       in the order in which they were taken; k is a fresh symbol, at most
//       batch * classes * min(max_output, n).
// One program selects and counts, which gives k; a second one fills.
//
// vision.all_class_non_max_suppression: the same in places for all boxes, -1 where there is none.
//   C5: the operands are as in C1; the largest number per class is an integer tensor of one
//       element.
//   C6: the format "onnx" gives rows (batch, class, box) of int64, (batch * classes * n, 3), and
//       how many there are, (1,); "tensorflow" gives for each image rows (class, box), (batch,
//       classes * n, 2), their scores, (batch, classes * n), and how many there are, (batch,).
#include "ops/ops.h"
#include "ops/sort.h"

namespace repose {

namespace {

// How many boxes of a class can be taken.
Expr most_per_class(const Expr& max_output, const Expr& boxes) {
  return canonical(min(max(max_output, make_int(0)), boxes));
}

// What both operators need of their operands, C1.
Result<void> check_boxes(InferContext& context, const graph::CallNode& call) {
  auto real = dtype_arg(context, call, 0, is_float_dtype, "a float");
  if (!real.ok()) return real.errors();
  for (size_t i : {size_t{1}, size_t{3}, size_t{4}}) {
    if (i > 1 && !has_arg(call, i)) continue;
    auto same = common_dtype(context, call, 0, i);
    if (!same.ok()) return same.errors();
    if (i == 1) continue;
    REPOSE_TRY(threshold, shaped_arg(context, call, i));
    const Expr count = element_count(*threshold->shape);
    REPOSE_REQUIRE(context.require(eq(count, make_int(1)),
                                   fmt::format("`{}`: `{}` has {{0}} elements, expected 1",
                                               call.op->name, call.op->args[i].name),
                                   {count}));
  }
  REPOSE_REQUIRE(require_rank(context, call, 0, 3));
  return require_rank(context, call, 1, 3);
}

Result<void> check_operands(InferContext& context, const graph::CallNode& call) {
  REPOSE_REQUIRE(check_boxes(context, call));
  REPOSE_TRY(boxes, shaped_arg(context, call, 0));
  REPOSE_TRY(scores, shaped_arg(context, call, 1));
  const Dims &b = *boxes->shape, &s = *scores->shape;
  const std::string_view op = call.op->name;
  REPOSE_REQUIRE(require_equal(context, op, b[2], "dimension 2 of the boxes", make_int(4),
                               "the number of coordinates"));
  REPOSE_REQUIRE(
      require_equal(context, op, b[0], "the batch of the boxes", s[0], "that of the scores"));
  return require_equal(context, op, b[1], "the number of boxes", s[2], "that of the scores");
}

Result<Type> infer_non_max_suppression(InferContext& context, const graph::CallNode& call) {
  REPOSE_REQUIRE(check_operands(context, call));
  REPOSE_TRY(boxes, shaped_arg(context, call, 0));
  REPOSE_TRY(scores, shaped_arg(context, call, 1));
  const Dims &b = *boxes->shape, &s = *scores->shape;
  const Expr max_output = prim_arg(call, 2, dtypes::index);
  const Var k = make_var("non_max_suppression_count");
  const Expr most = max_output ? most_per_class(max_output, b[1]) : b[1];
  REPOSE_REQUIRE(context.require(le(k, s[0] * s[1] * most), "", {}));
  return tensor_like(*boxes, {k, make_int(3)}, dtypes::int64);  // C4
}

// The corners of a box.
struct Corners {
  Expr y1, x1, y2, x2;
  Expr area() const { return (y2 - y1) * (x2 - x1); }
};

Corners corners_of(const Buffer& boxes, const Expr& batch, const Expr& i, bool center) {  // C2
  auto at = [&](int64_t c) { return make_load(boxes, {batch, i, make_int(c)}); };
  if (!center) {
    return {min(at(0), at(2)), min(at(1), at(3)), max(at(0), at(2)), max(at(1), at(3))};
  }
  const Expr half = make_const(boxes->dtype, 0.5), dx = at(2) * half, dy = at(3) * half;
  return {at(1) - dy, at(0) - dx, at(1) + dy, at(0) + dx};
}

// Does the intersection over union exceed the threshold? Boxes without an area overlap nothing.
Expr overlap(const Corners& a, const Corners& b, const Expr& threshold) {
  const Expr zero = make_const(threshold->dtype, 0);
  const Expr height = max(min(a.y2, b.y2) - max(a.y1, b.y1), zero),
             width = max(min(a.x2, b.x2) - max(a.x1, b.x1), zero);
  const Expr common = height * width, all = a.area() + b.area() - common;
  auto positive = [&](const Expr& e) { return lt(zero, e); };
  return logical_and(logical_and(logical_and(positive(common), positive(all)),
                                 logical_and(positive(a.area()), positive(b.area()))),
                     lt(threshold, make_binary(ExprKind::div, common, all)));
}

// taken[batch, class, 0 : kept[batch, class]] = the boxes that are taken.
class Selection {
 public:
  explicit Selection(const graph::CallNode& call)
      : center_(call.attrs.get_bool("center_point_box")),
        boxes_(buffer_for(call.args[0], "boxes")),
        scores_(buffer_for(call.args[1], "scores")) {
    args_ = {call.args[0], call.args[1]};
    buffers_ = {boxes_, scores_};
    const Expr most = prim_arg(call, 2, dtypes::index);
    limit_ = most_per_class(most ? most : make_cast(dtypes::index, element_of(call, 2)),
                            boxes_->shape[1]);
    iou_ = element_of(call, 3);
    least_score_ = element_of(call, 4);
    if (!iou_) iou_ = make_const(boxes_->dtype, 0);
    taken_ = make_buffer("taken", scores_->shape, dtypes::int64);
    kept_ = make_buffer("kept", {scores_->shape[0], scores_->shape[1]}, dtypes::int64);
    order_ = make_buffer("order", {scores_->shape[2]}, dtypes::int64, Scope::workspace);
  }

  struct Values {
    graph::Value taken, kept;
  };
  // A call of the program that selects.
  Result<Values> emit(Builder& b, const std::string& name) const {
    REPOSE_TRY(selected, emit_program(b, name, args_, buffers_, std::vector<Buffer>{taken_, kept_},
                                      program()));
    REPOSE_TRY(both, b.normalize(selected));
    REPOSE_TRY(taken, b.normalize(graph::make_tuple_get(both, 0)));
    REPOSE_TRY(kept, b.normalize(graph::make_tuple_get(both, 1)));
    return Values{taken, kept};
  }

 private:
  tir::Stmt program() const {
    const Expr &batches = scores_->shape[0], &classes = scores_->shape[1];
    return for_each_element("row", {batches, classes},
                            [&](const te::Indices& at) { return of_class(at[0], at[1]); });
  }

  // The one of a tensor; null: it is left out.
  Expr element_of(const graph::CallNode& call, size_t i) {
    if (!has_arg(call, i)) return nullptr;
    args_.push_back(call.args[i]);
    buffers_.push_back(buffer_for(call.args[i], call.op->args[i].name));
    return make_load(buffers_.back(), te::Indices(buffers_.back()->shape.size(), make_int(0)));
  }

  tir::Stmt of_class(const Expr& batch, const Expr& label) const {  // C3
    auto score = [&](const Expr& i) { return make_load(scores_, {batch, label, i}); };
    const Expr& count = scores_->shape[2];
    const tir::Stmt sort =
        sort_items(order_, count, count, [&](const Expr& i, const Expr& j, const Buffer& precedes) {
          return store(precedes, {make_int(0)}, is_less(score(j), score(i)));
        });
    const Expr box = load_index(order_, {next_.get()});
    tir::Stmt look = tir::make_seq(
        {drop_overlapping(batch, label, box),
         tir::make<tir::IfNode>(
             make_load(is_good_, {make_int(0)}),
             tir::make_seq({store(taken_, {batch, label, count_.get()}, box), count_.advance()}))});
    if (least_score_) look = tir::make<tir::IfNode>(lt(least_score_, score(box)), look);
    const tir::Stmt all =
        tir::make<tir::WhileNode>(logical_and(lt(next_.get(), count), lt(count_.get(), limit_)),
                                  tir::make_seq({look, next_.advance()}));
    // A program writes every element of its results.
    const tir::Stmt rest = for_each("i", count - count_.get(), [&](const Expr& i) {
      return store(taken_, {batch, label, count_.get() + i}, make_int(-1));
    });
    return with_buffers({order_, is_good_, next_.buffer(), count_.buffer()},
                        tir::make_seq({sort, next_.set(make_int(0)), count_.set(make_int(0)), all,
                                       rest, store(kept_, {batch, label}, count_.get())}));
  }
  tir::Stmt drop_overlapping(const Expr& batch, const Expr& label, const Expr& box) const {
    const te::Indices first{make_int(0)};
    const Cell q("q");
    const Expr other = load_index(taken_, {batch, label, q.get()});
    const Expr overlaps = overlap(corners_of(boxes_, batch, box, center_),
                                  corners_of(boxes_, batch, other, center_), iou_);
    const tir::Stmt compare = tir::make<tir::WhileNode>(
        logical_and(make_load(is_good_, first), lt(q.get(), count_.get())),
        tir::make_seq({store(is_good_, first, make_not(overlaps)), q.advance()}));
    return with_cells(
        {q}, tir::make_seq({q.set(make_int(0)), store(is_good_, first, make_bool(true)), compare}));
  }

  bool center_;
  std::vector<graph::Value> args_;
  std::vector<Buffer> buffers_;
  Buffer boxes_, scores_, taken_, kept_, order_;
  Buffer is_good_ = make_buffer("is_good", {make_int(1)}, dtypes::boolean, Scope::local);
  Expr limit_, iou_, least_score_;
  Cell next_{"next"}, count_{"count"};
};

Result<graph::Value> emit_fill(Builder& b, const graph::Value& taken, const graph::Value& kept,
                               const Expr& k) {
  const Buffer boxes = buffer_for(taken, "taken"), counts = buffer_for(kept, "kept");
  const Buffer out = make_buffer("y", {k, make_int(3)}, dtypes::int64);
  const Cell position("position");
  auto put = [&](int64_t column, const Expr& value) {
    return store(out, {position.get(), make_int(column)}, value);
  };
  const tir::Stmt body = for_each("batch", boxes->shape[0], [&](const Expr& batch) {
    return for_each("label", boxes->shape[1], [&](const Expr& label) {
      return for_each("j", load_index(counts, {batch, label}), [&](const Expr& j) {
        return tir::make_seq({put(0, batch), put(1, label),
                              put(2, make_load(boxes, {batch, label, j})), position.advance()});
      });
    });
  });
  return emit_program(b, "non_max_suppression", {taken, kept}, {boxes, counts}, out,
                      with_cells({position}, tir::make_seq({position.set(make_int(0)), body})));
}

Result<graph::Value> lower_non_max_suppression(Builder& b, const graph::CallNode& call) {
  const Expr max_output = prim_arg(call, 2, dtypes::index);
  if (!max_output) {
    return error(DiagnosticKind::unsupported_feature, {},
                 "`non_max_suppression`: `max_output` has no known value");
  }
  REPOSE_TRY(selected, Selection(call).emit(b, "non_max_suppression_select"));
  const auto& [taken, kept] = selected;
  REPOSE_TRY(
      count,
      te::emit_te(b, "non_max_suppression_count", {kept}, [](const std::vector<te::Tensor>& in) {
        return std::vector<te::Tensor>{te::reduce(
            {make_int(1)}, te::Reducer::sum, in[0].shape(),
            [&](const te::Indices&, const te::Indices& i) { return in[0](i); },
            "non_max_suppression_count")};
      }));
  const Dims& shape = *graph::tensor_of(taken)->shape;
  REPOSE_TRY(k, bind_count(b, count, "non_max_suppression", make_int(0),
                           shape[0] * shape[1] * most_per_class(max_output, shape[2])));
  return emit_fill(b, taken, kept, k);
}

// ---- In places for all boxes --------------------------------------------------------------------

bool is_per_image(const graph::CallNode& call) {
  return call.attrs.get_string("output_format") == "tensorflow";
}

Result<Type> infer_all_class(InferContext& context, const graph::CallNode& call) {  // C5
  const std::string format = call.attrs.get_string("output_format");
  if (format != "onnx" && format != "tensorflow") {
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`{}`: output_format is \"{}\", expected \"onnx\" or \"tensorflow\"",
                 call.op->name, format);
  }
  auto integer = dtype_arg(context, call, 2, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  REPOSE_TRY(most, shaped_arg(context, call, 2));
  const Expr count = element_count(*most->shape);
  REPOSE_REQUIRE(context.require(eq(count, make_int(1)),
                                 fmt::format("`{}`: `{}` has {{0}} elements, expected 1",
                                             call.op->name, call.op->args[2].name),
                                 {count}));
  REPOSE_REQUIRE(check_operands(context, call));
  REPOSE_TRY(scores, shaped_arg(context, call, 1));
  const Dims& s = *scores->shape;
  auto ints = [&](Dims shape) { return tensor_like(*scores, std::move(shape), dtypes::int64); };
  const Expr places = canonical(s[1] * s[2]);
  if (!is_per_image(call)) {  // C6
    return tuple_type({ints({canonical(s[0] * places), make_int(3)}), ints({make_int(1)})});
  }
  return tuple_type({ints({s[0], places, make_int(2)}),
                     tensor_like(*scores, {s[0], places}, scores->dtype), ints({s[0]})});
}

Result<graph::Value> fill_places(Builder& b, const graph::CallNode& call, const graph::Value& taken,
                                 const graph::Value& kept) {
  const Buffer boxes = buffer_for(taken, "taken"), counts = buffer_for(kept, "kept"),
               scores = buffer_for(call.args[1], "scores");
  const Expr batch_size = boxes->shape[0];
  const bool per_image = is_per_image(call);
  const Buffer rows = make_buffer("rows", result_shape(call, 0), dtypes::int64);
  const Buffer best =
      make_buffer("best", per_image ? result_shape(call, 1) : Dims{make_int(0)}, scores->dtype);
  const Buffer total = make_buffer("total", result_shape(call, per_image ? 2 : 1), dtypes::int64);
  const Cell position("position");
  const Expr minus_one = make_int(-1);
  auto put = [&](const Expr& batch, const Expr& row, const Expr& label, const Expr& box) {
    std::vector<Expr> numbers{label, box};
    te::Indices at{row, make_int(0)};
    if (per_image) {
      at.insert(at.begin(), batch);
    } else {
      numbers.insert(numbers.begin(), batch);
    }
    std::vector<tir::Stmt> stores;
    for (size_t c = 0; c < numbers.size(); ++c) {
      at.back() = make_int(static_cast<int64_t>(c));
      stores.push_back(store(rows, at, numbers[c]));
    }
    return tir::make_seq(std::move(stores));
  };
  auto of_image = [&](const Expr& batch) {
    tir::Stmt found = for_each("label", boxes->shape[1], [&](const Expr& label) {
      return for_each("j", load_index(counts, {batch, label}), [&](const Expr& j) {
        const Expr box = load_index(boxes, {batch, label, j});
        std::vector<tir::Stmt> all{put(batch, position.get(), label, box)};
        if (per_image) {
          all.push_back(
              store(best, {batch, position.get()}, make_load(scores, {batch, label, box})));
        }
        all.push_back(position.advance());
        return tir::make_seq(std::move(all));
      });
    });
    if (!per_image) return found;
    const tir::Stmt rest = for_each("k", rows->shape[1] - position.get(), [&](const Expr& k) {
      const Expr row = position.get() + k;
      return tir::make_seq({put(batch, row, minus_one, minus_one),
                            store(best, {batch, row}, make_const(scores->dtype, 0))});
    });
    return tir::make_seq(
        {position.set(make_int(0)), found, store(total, {batch}, position.get()), rest});
  };
  tir::Stmt body = for_each("batch", batch_size, of_image);
  if (!per_image) {
    const tir::Stmt rest = for_each("k", rows->shape[0] - position.get(), [&](const Expr& k) {
      return put(minus_one, position.get() + k, minus_one, minus_one);
    });
    body = tir::make_seq(
        {position.set(make_int(0)), body, store(total, {make_int(0)}, position.get()), rest});
  }
  std::vector<Buffer> results{rows, total};
  if (per_image) results.insert(results.begin() + 1, best);
  return emit_program(b, "place_boxes", {taken, kept, call.args[1]}, {boxes, counts, scores},
                      results, with_cells({position}, body));
}

Result<graph::Value> lower_all_class(Builder& b, const graph::CallNode& call) {
  REPOSE_TRY(selected, Selection(call).emit(b, "all_class_non_max_suppression"));
  return fill_places(b, call, selected.taken, selected.kept);
}

}  // namespace

const OpDef& op_vision_all_class_non_max_suppression() {
  static const OpDef def{
      .name = "vision.all_class_non_max_suppression",
      .args = {{"boxes"},
               {"scores"},
               {"max_output_boxes_per_class"},
               {"iou_threshold"},
               {"score_threshold"}},
      .attrs = {{"output_format", AttrKind::string, Attr("onnx")}},
      .infer = infer_all_class,
      .lower = lower_all_class,
      .doc = "non_max_suppression in places for all boxes, and how many there are"};
  return def;
}

const OpDef& op_non_max_suppression() {
  static const OpDef def{
      .name = "non_max_suppression",
      .args = {{"boxes"},
               {"scores"},
               {"max_output", ArgKind::prim},
               {"iou_threshold", ArgKind::tensor, true},
               {"score_threshold", ArgKind::tensor, true}},
      .attrs = {{"center_point_box", AttrKind::boolean, Attr(false)}},
      .infer = infer_non_max_suppression,
      .lower = lower_non_max_suppression,
      .doc = "batch, class and index of the best boxes that don't overlap a better one"};
  return def;
}

}  // namespace repose
