// random: numbers that depend on the seed and the place in the result alone, never on the number of
// threads: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2,
// 3", 2011). Block b, with the counter (b's low half, b's high half, 0, 0) and the seed's halves as
// the key, gives four words of 32 bits, from which come the elements 4 b … 4 b + 3 in row-major
// order (of float64, whose elements take two words: 2 b and 2 b + 1).
//   "uniform": the upper digits of a word that the dtype holds exactly (24 of float32), as a
//       fraction in [0, 1).
//   "normal": pairs of fractions u, v as r cos(2 pi v), r sin(2 pi v) with r = sqrt(-2 ln(1 - u))
//       (Box and Muller), computed in float32 at least.
//   C1: no dimension is negative; the dtype is a float.
//   C2: the distribution is "uniform" or "normal".
#include <numbers>

#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

Result<Type> infer_random(InferContext& context, const graph::CallNode& call) {
  const DType dtype = call.attrs.get_dtype("dtype");
  if (!is_float_dtype(dtype) || dtype.is_vector()) {  // C1
    return error(DiagnosticKind::dtype_mismatch, context.span(),
                 "`random` gives dtype {}, expected a float", dtype.to_string());
  }
  const std::string distribution = call.attrs.get_string("distribution");
  if (distribution != "uniform" && distribution != "normal") {  // C2
    return error(DiagnosticKind::bad_attribute, context.span(),
                 "`random`: distribution is \"{}\", expected \"uniform\" or \"normal\"",
                 distribution);
  }
  const Dims* shape = shape_arg(call, 0);
  if (!shape) return tensor_type_of_rank(as<ShapeTypeNode>(call.args[0]->type)->rank, dtype);
  REPOSE_REQUIRE(require_extents(context, call.op->name, *shape));
  return tensor_type(*shape, dtype);
}

constexpr DType word = dtypes::uint32, wide_word = dtypes::uint64;

Expr constant_word(uint32_t value) {
  return make_int(static_cast<int64_t>(value), word);
}

using Body = std::function<tir::Stmt(const std::vector<Expr>& words)>;

// f of the words after the rounds from `round` on.
tir::Stmt after_rounds(int round, const std::vector<Expr>& state, uint64_t seed, const Body& f) {
  if (round == 10) return f(state);
  constexpr uint32_t factors[] = {0xD2511F53, 0xCD9E8D57}, steps[] = {0x9E3779B9, 0xBB67AE85};
  const uint32_t keys[] = {
      static_cast<uint32_t>(seed) + static_cast<uint32_t>(round) * steps[0],
      static_cast<uint32_t>(seed >> 32) + static_cast<uint32_t>(round) * steps[1]};
  std::vector<Expr> products;
  for (size_t k : {size_t{0}, size_t{1}}) {
    products.push_back(make_cast(wide_word, state[2 * k]) *
                       make_int(static_cast<int64_t>(factors[k]), wide_word));
  }
  return with_values(products, [&](const std::vector<Expr>& p) {
    auto high = [&](size_t k) {
      return make_cast(word, make_binary(ExprKind::shift_right, p[k], make_int(32, wide_word)));
    };
    auto mixed = [&](size_t k, size_t with) {  // the other product's high half
      const Expr x = make_binary(ExprKind::bit_xor, high(1 - k), state[with]);
      return make_binary(ExprKind::bit_xor, x, constant_word(keys[k]));
    };
    const std::vector<Expr> next{mixed(0, 1), make_cast(word, p[1]), mixed(1, 3),
                                 make_cast(word, p[0])};
    return with_values(next, [&](const std::vector<Expr>& words) {
      return after_rounds(round + 1, words, seed, f);
    });
  });
}

// Binary digits of a fraction.
int digits_of(DType dtype) {
  if (dtype.bits == 64) return 53;
  if (dtype.code == DType::Code::bfloat) return 8;
  return dtype.bits == 32 ? 24 : 11;
}

// The fractions that a block gives, in `dtype`, each exact in `digits` digits.
std::vector<Expr> fractions(const std::vector<Expr>& words, DType dtype, int digits) {
  std::vector<Expr> result;
  const bool takes_two = digits > 32;
  for (size_t k = 0; k < words.size(); k += takes_two ? 2 : 1) {
    Expr bits = words[k];
    if (takes_two) {
      const Expr high = make_binary(ExprKind::shift_left, make_cast(wide_word, words[k]),
                                    make_int(32, wide_word));
      bits = make_binary(ExprKind::bit_or, high, make_cast(wide_word, words[k + 1]));
    }
    const int dropped = (takes_two ? 64 : 32) - digits;
    bits = make_binary(ExprKind::shift_right, bits, make_int(dropped, bits->dtype));
    result.push_back(make_cast(dtype, bits) *
                     make_float(1.0 / static_cast<double>(int64_t{1} << digits), dtype));
  }
  return result;
}

std::vector<Expr> normals(const std::vector<Expr>& u) {
  std::vector<Expr> result;
  for (size_t k = 0; k < u.size(); k += 2) {
    const DType t = u[k]->dtype;
    const Expr log = make_call(Intrinsic::log, make_float(1, t) - u[k]);
    const Expr radius = make_call(Intrinsic::sqrt, make_float(-2, t) * log);
    const Expr angle = make_float(2 * std::numbers::pi, t) * u[k + 1];
    result.push_back(radius * make_call(Intrinsic::cos, angle));
    result.push_back(radius * make_call(Intrinsic::sin, angle));
  }
  return result;
}

Result<graph::Value> lower_random(Builder& b, const graph::CallNode& call) {
  const Dims* shape = shape_arg(call, 0);
  if (!shape) {
    return error(DiagnosticKind::unsupported_feature, {},
                 "`random`: the members of the shape are not known");
  }
  const DType dtype = result_dtype(call), wide = accumulator_dtype(dtype);
  const bool is_normal = call.attrs.get_string("distribution") == "normal";
  const uint64_t seed = static_cast<uint64_t>(call.attrs.get_int("seed"));
  const int64_t per_block = dtype.bits == 64 ? 2 : 4;
  const Expr count = element_count(*shape);
  const Buffer y = make_buffer("y", {count}, dtype);
  const tir::Stmt body = for_each(
      "block", canonical(ceil_div(count, make_int(per_block))),
      [&](const Expr& block) {
        const Expr whole = make_cast(wide_word, make_cast(dtypes::int64, block));
        const Expr zero = make_int(0, word);
        const std::vector<Expr> counter{
            make_cast(word, whole),
            make_cast(word, make_binary(ExprKind::shift_right, whole, make_int(32, wide_word))),
            zero, zero};
        return with_values(counter, [&](const std::vector<Expr>& start) {
          return after_rounds(0, start, seed, [&](const std::vector<Expr>& words) {
            const int digits = is_normal ? digits_of(wide) : digits_of(dtype);
            const std::vector<Expr> u = fractions(words, wide, digits);
            return with_values(is_normal ? normals(u) : u, [&](const std::vector<Expr>& values) {
              std::vector<tir::Stmt> stores;
              for (size_t k = 0; k < values.size(); ++k) {
                const Expr at = block * per_block + static_cast<int64_t>(k);
                stores.push_back(tir::make<tir::IfNode>(lt(at, count), store(y, {at}, values[k])));
              }
              return tir::make_seq(stores);
            });
          });
        });
      },
      tir::ForKind::parallel);
  REPOSE_TRY(flat, emit_program(b, "random", {}, {}, y, body));
  return graph::make_op_call(op_reshape(), {flat, graph::make_shape(*shape)});
}

}  // namespace

const OpDef& op_random() {
  static const OpDef def{.name = "random",
                         .args = {{"shape", ArgKind::shape}},
                         .attrs = {{"seed", AttrKind::integer, Attr(0)},
                                   {"distribution", AttrKind::string, Attr("uniform")},
                                   {"dtype", AttrKind::dtype, Attr(dtypes::float32)}},
                         .infer = infer_random,
                         .lower = lower_random,
                         .doc = "random numbers: the same for the same seed and shape"};
  return def;
}

}  // namespace repose
