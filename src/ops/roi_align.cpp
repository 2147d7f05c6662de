// roi_align: the mean (or the largest) of points inside of each part of a region, interpolated.
//   Region r is (left, top, right, bottom) * scale (less 1/2 with `half_pixel`; otherwise at least
//   1 wide and high) of image `batch[r]`, cut into height * width equal parts. In each part lie
//   `sampling` * `sampling` points evenly (0: as many as the part's extents rounded up). A point
//   takes four elements by their distances; one more than 1 outside of the image is 0. "max" takes
//   the largest of the weighted elements.
//     C1: x (images, channels, rows, columns) is a float; the regions are (count, 4) of its dtype;
//         the batch is an integer of shape (count,).
//     C2: x's rows and columns are at least 1 where there are regions.
//     C3: the mode is "avg" or "max"; height and width are at least 1; sampling is at least 0.
//   Computes in float32 at least. An image that isn't there is an error at run time.
// roi_max_pool: the largest element of each part of a region. A region is (image, left, top, right,
//   bottom), whose corners times the scale, rounded, are its first and last elements; it is at
//   least 1 wide and high, and cut into height * width parts that may overlap by an element. A part
//   that lies outside of the image is 0.
//     C4: x is a float (images, channels, rows, columns); the regions are (count, 5) of its dtype;
//         height and width are at least 1.
#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

Result<Type> infer_roi_align(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(rois, tensor_arg(context, call, 1));
  REPOSE_TRY(batch, tensor_arg(context, call, 2));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C1
  auto same = common_dtype(context, call, 0, 1);
  if (!same.ok()) return same.errors();
  auto integer = dtype_arg(context, call, 2, is_integer_dtype, "an integer");
  if (!integer.ok()) return integer.errors();
  REPOSE_REQUIRE(require_rank(context, call, 0, 4));
  REPOSE_REQUIRE(require_rank(context, call, 1, 2));
  REPOSE_REQUIRE(require_rank(context, call, 2, 1));
  const std::string mode = call.attrs.get_string("mode");
  const int64_t height = call.attrs.get_int("height"), width = call.attrs.get_int("width"),
                sampling = call.attrs.get_int("sampling");
  if ((mode != "avg" && mode != "max") || height < 1 || width < 1 || sampling < 0) {  // C3
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`roi_align`: mode \"{}\", {} by {} parts of {} points", mode, height, width,
                 sampling);
  }
  if (!x->shape || !rois->shape || !batch->shape) return ranked_like(*x, 4, dtype);
  const Dims &s = *x->shape, &r = *rois->shape;
  REPOSE_REQUIRE(require_equal(context, call.op->name, r[1], "dimension 1 of operand 1",
                               make_int(4), "the number of coordinates"));
  REPOSE_REQUIRE(require_equal(context, call.op->name, r[0], "dimension 0 of operand 1",
                               (*batch->shape)[0], "dimension 0 of operand 2"));
  REPOSE_REQUIRE(
      context.require(logical_or(eq(r[0], make_int(0)),
                                 logical_and(le(make_int(1), s[2]), le(make_int(1), s[3]))),  // C2
                      "`roi_align`: images of {0} by {1} elements", {s[2], s[3]}));
  return tensor_like(*x, {r[0], s[1], make_int(height), make_int(width)}, dtype);
}

// One direction of a point: the two elements around it and how far it lies behind the first.
struct Neighbours {
  Expr low, high, fraction;

  Neighbours(const Expr& place, const Expr& extent) {
    const DType t = place->dtype;
    const Expr start = max(place, make_float(0, t)), last = extent - 1;
    const Expr floor = make_cast(dtypes::index, make_cast(dtypes::int64, start));
    low = max(min(floor, last), make_int(0));
    high = max(min(floor + 1, last), make_int(0));
    fraction = make_select(le(last, floor), make_float(0, t), start - make_cast(t, low));
  }
};

class RoiAlign {
 public:
  explicit RoiAlign(const graph::CallNode& call)
      : call_(call),
        x_(buffer_for(call.args[0], "x")),
        rois_(buffer_for(call.args[1], "rois")),
        batch_(buffer_for(call.args[2], "batch")),
        y_(make_buffer("y", result_shape(call), x_->dtype)),
        wide_(accumulator_dtype(x_->dtype)),
        total_(make_buffer("total", {make_int(1)}, wide_, Scope::local)),
        is_max_(call.attrs.get_string("mode") == "max") {}

  Result<graph::Value> emit(Builder& b) const {
    const tir::Stmt body =
        for_each_element("part", y_->shape, [&](const te::Indices& i) { return of_part(i); });
    return emit_program(b, "roi_align", call_.args, {x_, rois_, batch_}, y_, body);
  }

 private:
  Expr number(double value) const { return make_float(value, wide_); }

  // Begin of the region, extent of a part.
  tir::Stmt of_part(const te::Indices& i) const {
    const bool half_pixel = call_.attrs.get_bool("half_pixel");
    const Expr scale = number(call_.attrs.get_float("scale"));
    auto corner = [&](int64_t k) {
      const Expr at = make_cast(wide_, make_load(rois_, {i[0], make_int(k)})) * scale;
      return half_pixel ? at - number(0.5) : at;
    };
    auto part = [&](int64_t k, const char* count) {
      Expr extent = corner(k + 2) - corner(k);
      if (!half_pixel) extent = max(extent, number(1));
      return make_binary(ExprKind::div, extent,
                         number(static_cast<double>(call_.attrs.get_int(count))));
    };
    const Expr image = checked_index(make_load(batch_, {i[0]}), x_->shape[0], "roi_align");
    return with_values(
        {image, corner(1), part(1, "height"), corner(0), part(0, "width")},
        [&](const std::vector<Expr>& v) {
          const int64_t sampling = call_.attrs.get_int("sampling");
          auto points = [&](const Expr& extent) {
            if (sampling > 0) return make_int(sampling);
            const Expr whole = make_cast(dtypes::int64, make_call(Intrinsic::ceil, extent));
            return max(make_cast(dtypes::index, whole), make_int(0));
          };
          return with_values({points(v[2]), points(v[4])}, [&](const std::vector<Expr>& counts) {
            return sampled(i, v, counts[0], counts[1]);
          });
        });
  }

  tir::Stmt sampled(const te::Indices& i, const std::vector<Expr>& v, const Expr& rows,
                    const Expr& columns) const {
    const te::Indices first{make_int(0)};
    auto place = [&](const Expr& begin, const Expr& extent, const Expr& part, const Expr& point,
                     const Expr& count) {
      const Expr inside = make_binary(
          ExprKind::div, (make_cast(wide_, point) + number(0.5)) * extent, make_cast(wide_, count));
      return begin + make_cast(wide_, part) * extent + inside;
    };
    const Expr start =
        make_select(lt(make_int(0), rows * columns),
                    number(is_max_ ? -std::numeric_limits<double>::infinity() : 0), number(0));
    const tir::Stmt points = for_each("row", rows, [&](const Expr& row) {
      return for_each("column", columns, [&](const Expr& column) {
        return with_values(
            {place(v[1], v[2], i[2], row, rows), place(v[3], v[4], i[3], column, columns)},
            [&](const std::vector<Expr>& at) {
              const Expr value = point(v[0], i[1], at[0], at[1]);
              const Expr before = make_load(total_, first);
              return store(total_, first, is_max_ ? max(before, value) : Expr(before + value));
            });
      });
    });
    const Expr count = make_cast(wide_, max(rows * columns, make_int(1)));
    const Expr result = is_max_ ? make_load(total_, first)
                                : make_binary(ExprKind::div, make_load(total_, first), count);
    return with_buffers({total_},
                        tir::make_seq({store(total_, first, start), points, store(y_, i, result)}));
  }

  Expr point(const Expr& image, const Expr& channel, const Expr& y, const Expr& x) const {
    const Expr &rows = x_->shape[2], &columns = x_->shape[3];
    const Neighbours down(y, rows), right(x, columns);
    const Expr one = number(1);
    auto weighted = [&](const Expr& r, const Expr& c, const Expr& weight) {
      return weight * make_cast(wide_, make_load(x_, {image, channel, r, c}));
    };
    const Expr parts[] = {
        weighted(down.low, right.low, (one - down.fraction) * (one - right.fraction)),
        weighted(down.low, right.high, (one - down.fraction) * right.fraction),
        weighted(down.high, right.low, down.fraction * (one - right.fraction)),
        weighted(down.high, right.high, down.fraction * right.fraction)};
    const Expr value = is_max_ ? max(max(parts[0], parts[1]), max(parts[2], parts[3]))
                               : Expr(parts[0] + parts[1] + parts[2] + parts[3]);
    auto is_near = [&](const Expr& at, const Expr& extent) {
      return logical_and(le(number(-1), at), le(at, make_cast(wide_, extent)));
    };
    return make_select(logical_and(is_near(y, rows), is_near(x, columns)), value, number(0));
  }

  const graph::CallNode& call_;
  Buffer x_, rois_, batch_, y_;
  DType wide_;
  Buffer total_;
  bool is_max_;
};

Result<graph::Value> lower_roi_align(Builder& b, const graph::CallNode& call) {
  return RoiAlign(call).emit(b);
}

Result<Type> infer_roi_max_pool(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  REPOSE_TRY(rois, tensor_arg(context, call, 1));
  REPOSE_TRY(dtype, dtype_arg(context, call, 0, is_float_dtype, "a float"));  // C4
  auto same = common_dtype(context, call, 0, 1);
  if (!same.ok()) return same.errors();
  REPOSE_REQUIRE(require_rank(context, call, 0, 4));
  REPOSE_REQUIRE(require_rank(context, call, 1, 2));
  const int64_t height = call.attrs.get_int("height"), width = call.attrs.get_int("width");
  if (height < 1 || width < 1) {
    return error(DiagnosticKind::bad_attribute, context.span(), "`roi_max_pool`: {} by {} parts",
                 height, width);
  }
  if (!x->shape || !rois->shape) return ranked_like(*x, 4, dtype);
  REPOSE_REQUIRE(require_equal(context, call.op->name, (*rois->shape)[1],
                               "dimension 1 of operand 1", make_int(5),
                               "the number of coordinates and the image"));
  return tensor_like(*x, {(*rois->shape)[0], (*x->shape)[1], make_int(height), make_int(width)},
                     dtype);
}

class RoiMaxPool {
 public:
  explicit RoiMaxPool(const graph::CallNode& call)
      : call_(call),
        x_(buffer_for(call.args[0], "x")),
        rois_(buffer_for(call.args[1], "rois")),
        y_(make_buffer("y", result_shape(call), x_->dtype)),
        wide_(accumulator_dtype(x_->dtype)) {}

  Result<graph::Value> emit(Builder& b) const {
    const tir::Stmt body =
        for_each_element("part", y_->shape, [&](const te::Indices& i) { return of_part(i); });
    return emit_program(b, "roi_max_pool", call_.args, {x_, rois_}, y_, body);
  }

 private:
  Expr number(double value) const { return make_float(value, wide_); }
  Expr whole(const Expr& e) const { return make_cast(dtypes::index, make_cast(dtypes::int64, e)); }
  // A coordinate times the scale, halves away from 0.
  Expr corner(const Expr& region, int64_t k) const {
    const Expr at = make_cast(wide_, make_load(rois_, {region, make_int(k)})) *
                    number(call_.attrs.get_float("scale"));
    const Expr half = make_call(Intrinsic::copysign, number(0.5), at);
    return make_call(Intrinsic::trunc, at + half);
  }
  // Where a part begins, and where it ends.
  std::vector<Expr> range(const te::Indices& i, size_t axis, const char* count) const {
    const int64_t first = axis == 2 ? 2 : 1;
    const Expr begin = corner(i[0], first), end = corner(i[0], first + 2);
    const Expr extent = max(end - begin + number(1), number(1));
    const Expr part =
        make_binary(ExprKind::div, extent, number(static_cast<double>(call_.attrs.get_int(count))));
    auto clipped = [&](const Expr& e) {
      return min(max(whole(e + begin), make_int(0)), x_->shape[axis]);
    };
    const Expr place = make_cast(wide_, i[axis]);
    return {clipped(make_call(Intrinsic::floor, place * part)),
            clipped(make_call(Intrinsic::ceil, (place + number(1)) * part))};
  }

  tir::Stmt of_part(const te::Indices& i) const {
    const Expr image = inside_images(make_load(rois_, {i[0], make_int(0)}));
    const std::vector<Expr> rows = range(i, 2, "height"), columns = range(i, 3, "width");
    return with_values(
        {image, rows[0], rows[1], columns[0], columns[1]}, [&](const std::vector<Expr>& v) {
          const Expr height = max(v[2] - v[1], make_int(0)), width = max(v[4] - v[3], make_int(0));
          const Expr lowest = te::identity_of(te::Reducer::max, x_->dtype);
          const Expr start =
              make_select(lt(make_int(0), height * width), lowest, make_const(x_->dtype, 0));
          const tir::Stmt look = for_each("row", height, [&](const Expr& r) {
            return for_each("column", width, [&](const Expr& c) {
              const Expr value = make_load(x_, {v[0], i[1], v[1] + r, v[3] + c});
              return store(y_, i, max(make_load(y_, i), value));
            });
          });
          return tir::make_seq({store(y_, i, start), look});
        });
  }
  Expr inside_images(const Expr& number) const {
    return make_call(Intrinsic::check_index, dtypes::index,
                     {whole(number), x_->shape[0], make_string("roi_max_pool")});
  }

  const graph::CallNode& call_;
  Buffer x_, rois_, y_;
  DType wide_;
};

Result<graph::Value> lower_roi_max_pool(Builder& b, const graph::CallNode& call) {
  return RoiMaxPool(call).emit(b);
}

}  // namespace

const OpDef& op_roi_max_pool() {
  static const OpDef def{.name = "roi_max_pool",
                         .args = {{"x"}, {"rois"}},
                         .attrs = {{"height", AttrKind::integer, Attr(1)},
                                   {"width", AttrKind::integer, Attr(1)},
                                   {"scale", AttrKind::number, Attr(1.0)}},
                         .infer = infer_roi_max_pool,
                         .lower = lower_roi_max_pool,
                         .doc = "the largest elements of the parts of regions of images"};
  return def;
}

const OpDef& op_roi_align() {
  static const OpDef def{.name = "roi_align",
                         .args = {{"x"}, {"rois"}, {"batch"}},
                         .attrs = {{"mode", AttrKind::string, Attr("avg")},
                                   {"height", AttrKind::integer, Attr(1)},
                                   {"width", AttrKind::integer, Attr(1)},
                                   {"sampling", AttrKind::integer, Attr(0)},
                                   {"scale", AttrKind::number, Attr(1.0)},
                                   {"half_pixel", AttrKind::boolean, Attr(true)}},
                         .infer = infer_roi_align,
                         .lower = lower_roi_align,
                         .doc = "points of regions of images, interpolated and combined"};
  return def;
}

}  // namespace repose
