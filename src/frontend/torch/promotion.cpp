// PyTorch's type promotion (torch.result_type).
#include "frontend/torch/promotion.h"

#include <algorithm>

namespace repose::torch {
namespace {

enum class Rank : uint8_t { number, scalar, tensor };

struct Typed {
  DType dtype;
  Rank rank;
};

int category(DType t) {
  return t.is_float() ? 2 : t.is_bool() ? 0 : 1;
}

DType wider(DType a, DType b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (a.is_float()) {  // two kinds of 16 bits meet in 32
    if (a.bits == b.bits) return dtypes::float32;
    return a.bits > b.bits ? a : b;
  }
  if (a.is_sint() == b.is_sint()) return a.bits > b.bits ? a : b;
  const DType sint = a.is_sint() ? a : b, uint = a.is_sint() ? b : a;
  if (sint.bits > uint.bits) return sint;
  return uint.bits == 8 ? dtypes::int16 : uint.bits == 16 ? dtypes::int32 : dtypes::int64;
}

DType common(const Typed& a, const Typed& b) {
  const int ca = category(a.dtype), cb = category(b.dtype);
  if (ca == cb && a.rank == b.rank) return wider(a.dtype, b.dtype);
  const Typed& high = ca != cb ? (ca > cb ? a : b) : (a.rank > b.rank ? a : b);
  const Typed& low = &high == &a ? b : a;
  if (high.rank >= low.rank) {
    return high.rank == Rank::number && high.dtype == dtypes::float64 ? dtypes::float32
                                                                      : high.dtype;
  }
  // A number of a higher category than the tensor's: the default type of that category.
  if (high.rank == Rank::number && high.dtype.is_float()) return dtypes::float32;
  return high.dtype;
}

Result<Typed> typed(NodeContext& c, std::string_view arg) {
  using Kind = Argument::Kind;
  const Argument* a = c.find(arg);
  if (!a) return c.fail(DiagnosticKind::wrong_arity, "argument `{}` is missing", printable(arg));
  if (a->kind == Kind::number) return Typed{dtypes::float64, Rank::number};
  if (a->kind == Kind::integer) return Typed{dtypes::int64, Rank::number};
  if (a->kind == Kind::boolean) return Typed{dtypes::boolean, Rank::number};
  REPOSE_TRY(value, c.tensor(arg));
  const TensorTypeNode* t = graph::tensor_of(value);
  return Typed{t->dtype, t->rank == 0 ? Rank::scalar : Rank::tensor};
}

}  // namespace

Result<Pair> promoted(NodeContext& c, std::string_view a, std::string_view b) {
  REPOSE_TRY(type_a, typed(c, a));
  REPOSE_TRY(type_b, typed(c, b));
  const DType dtype = common(type_a, type_b);
  REPOSE_TRY(x, c.tensor_or_number(a, dtype));
  REPOSE_TRY(y, c.tensor_or_number(b, dtype));
  REPOSE_TRY(x_cast, c.cast(x, dtype));
  REPOSE_TRY(y_cast, c.cast(y, dtype));
  return Pair{x_cast, y_cast};
}

}  // namespace repose::torch
