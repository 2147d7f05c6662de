// linear_attention: attention over a state S (size of keys, size of values) for each batch and head
// of keys, which each step t changes:
//   S = exp(decay[t]) * S (where there is a decay, for each row of S or one for all);
//   v = value[t], or beta[t] * (value[t] - S' key[t]) where there is a beta;
//   S = S + key[t] v'; and reads: y[t] = S' query[t], for each head of queries that shares the head
//   of keys.
//     C1: query (batch, heads of queries, steps, keys), key (batch, heads, steps, keys), value
//         (batch, heads, steps, values), state (batch, heads, keys, values) are float32 or
//         float64, all of one dtype; the heads of queries are a multiple of the heads.
//     C2: decay is (batch, heads, steps, 1 or keys), beta (batch, heads or 1, steps, 1), of that
//         dtype.
//     C3: the result is a tuple: y (batch, heads of queries, steps, values), and the last state.
#include "ops/loops.h"
#include "ops/ops.h"

namespace repose {

namespace {

Result<Type> infer_linear_attention(InferContext& context, const graph::CallNode& call) {
  std::vector<const TensorTypeNode*> operands;
  for (size_t i = 0; i < 6; ++i) {
    if (i >= 4 && !has_arg(call, i)) {
      operands.push_back(nullptr);
      continue;
    }
    REPOSE_TRY(t, shaped_arg(context, call, i));
    REPOSE_REQUIRE(require_rank(context, call, i, 4));  // C1
    auto dtype = dtype_arg(context, call, i, is_float_dtype, "a float");
    if (!dtype.ok()) return dtype.errors();
    auto same = common_dtype(context, call, 0, i);
    if (!same.ok()) return same.errors();
    operands.push_back(t);
  }
  if (operands[0]->dtype.bits < 32) {
    return error(DiagnosticKind::dtype_mismatch, context.span(),
                 "`linear_attention`: operand 0 has dtype {}, expected float32 or float64",
                 operands[0]->dtype.to_string());
  }
  const Dims &q = *operands[0]->shape, &k = *operands[1]->shape, &v = *operands[2]->shape;
  auto require_dims = [&](size_t i, const Dims& want) -> Result<void> {
    for (size_t d = 0; d < 4; ++d) {
      if (!want[d]) continue;
      REPOSE_REQUIRE(require_equal(context, call.op->name, (*operands[i]->shape)[d],
                                   fmt::format("dimension {} of operand {}", d, i), want[d],
                                   "the extent of the other operands"));
    }
    return {};
  };
  REPOSE_REQUIRE(require_dims(0, {k[0], nullptr, k[2], k[3]}));
  REPOSE_REQUIRE(require_dims(2, {k[0], k[1], k[2], nullptr}));
  REPOSE_REQUIRE(require_dims(3, {k[0], k[1], k[3], v[3]}));
  REPOSE_REQUIRE(context.require(
      logical_and(le(make_int(1), k[1]), eq(floor_mod(q[1], k[1]), make_int(0))),
      "`linear_attention`: {0} heads of queries are no multiple of {1} heads", {q[1], k[1]}));
  auto require_one_or = [&](size_t i, size_t d, const Expr& other) {
    const Expr& have = (*operands[i]->shape)[d];
    return context.require(
        logical_or(eq(have, make_int(1)), eq(have, other)),
        fmt::format("`linear_attention`: dimension {} of operand {} is {{0}}, expected 1 or {{1}}",
                    d, i),
        {have, other});
  };
  if (operands[4]) {  // C2
    REPOSE_REQUIRE(require_dims(4, {k[0], k[1], k[2], nullptr}));
    REPOSE_REQUIRE(require_one_or(4, 3, k[3]));
  }
  if (operands[5]) {
    REPOSE_REQUIRE(require_dims(5, {k[0], nullptr, k[2], make_int(1)}));
    REPOSE_REQUIRE(require_one_or(5, 1, k[1]));
  }
  return tuple_type({tensor_like(*operands[0], {q[0], q[1], q[2], v[3]}, operands[0]->dtype),  // C3
                     tensor_like(*operands[3], {k[0], k[1], k[3], v[3]}, operands[0]->dtype)});
}

class Recurrence {
 public:
  explicit Recurrence(const graph::CallNode& call)
      : query_(take(call, 0, "query")),
        key_(take(call, 1, "key")),
        value_(take(call, 2, "value")),
        past_(take(call, 3, "past")),
        decay_(take(call, 4, "decay")),
        beta_(take(call, 5, "beta")),
        y_(make_buffer("y", result_shape(call, 0), query_->dtype)),
        state_(make_buffer("state", result_shape(call, 1), query_->dtype)),
        keys_(key_->shape[3]),
        values_(value_->shape[3]),
        row_(make_buffer("row", {values_}, query_->dtype, Scope::workspace)) {}

  Result<graph::Value> emit(Builder& b) const {
    const tir::Stmt body =
        for_each_element("head", {key_->shape[0], key_->shape[1]},
                         [&](const te::Indices& at) { return of_head(at[0], at[1]); });
    return emit_program(b, "linear_attention", args_, buffers_, std::vector<Buffer>{y_, state_},
                        body);
  }

 private:
  Buffer take(const graph::CallNode& call, size_t i, const char* name) {
    if (i >= 4 && !has_arg(call, i)) return nullptr;
    args_.push_back(call.args[i]);
    buffers_.push_back(buffer_for(call.args[i], name));
    return buffers_.back();
  }

  tir::Stmt of_head(const Expr& n, const Expr& h) const {
    auto state = [&](const Expr& k, const Expr& v) { return te::Indices{n, h, k, v}; };
    auto for_state = [&](const std::function<tir::Stmt(const Expr&, const Expr&)>& f) {
      return for_each("k", keys_, [&](const Expr& k) {
        return for_each("v", values_, [&](const Expr& v) { return f(k, v); });
      });
    };
    const tir::Stmt start = for_state([&](const Expr& k, const Expr& v) {
      return store(state_, state(k, v), make_load(past_, state(k, v)));
    });
    const tir::Stmt steps = for_each("t", key_->shape[2], [&](const Expr& t) {
      std::vector<tir::Stmt> stmts;
      auto now = [&](const Buffer& x, const Expr& k) { return make_load(x, {n, h, t, k}); };
      auto held = [&](const Expr& k, const Expr& v) { return make_load(state_, state(k, v)); };
      auto in_row = [&](const Expr& v) { return make_load(row_, {v}); };
      if (decay_) {
        const bool is_one = is_const_int(decay_->shape[3], 1);
        stmts.push_back(for_each("k", keys_, [&](const Expr& k) {
          const Expr rate = now(decay_, is_one ? make_int(0) : at_most(k, decay_->shape[3] - 1));
          return with_values({make_call(Intrinsic::exp, rate)}, [&](const std::vector<Expr>& f) {
            return for_each("v", values_, [&](const Expr& v) {
              return store(state_, state(k, v), held(k, v) * f[0]);
            });
          });
        }));
      }
      stmts.push_back(
          for_each("v", values_, [&](const Expr& v) { return store(row_, {v}, now(value_, v)); }));
      if (beta_) {
        const Expr head =
            is_const_int(beta_->shape[1], 1) ? make_int(0) : at_most(h, beta_->shape[1] - 1);
        const Expr factor = make_load(beta_, {n, head, t, make_int(0)});
        stmts.push_back(for_state([&](const Expr& k, const Expr& v) {
          return store(row_, {v}, in_row(v) - held(k, v) * now(key_, k));
        }));
        stmts.push_back(for_each(
            "v", values_, [&](const Expr& v) { return store(row_, {v}, in_row(v) * factor); }));
      }
      stmts.push_back(for_state([&](const Expr& k, const Expr& v) {
        return store(state_, state(k, v), held(k, v) + now(key_, k) * in_row(v));
      }));
      stmts.push_back(read(n, h, t, held));
      return tir::make_seq(stmts);
    });
    return with_buffers({row_}, tir::make_seq({start, steps}));
  }

  // The heads of queries that share head h.
  tir::Stmt read(const Expr& n, const Expr& h, const Expr& t,
                 const std::function<Expr(const Expr&, const Expr&)>& held) const {
    const Expr group = canonical(floor_div(query_->shape[1], key_->shape[1]));
    return for_each("g", group, [&](const Expr& g) {
      const Expr head = at_most(h * group + g, query_->shape[1] - 1);
      auto out = [&](const Expr& v) { return te::Indices{n, head, t, v}; };
      const tir::Stmt clear = for_each(
          "v", values_, [&](const Expr& v) { return store(y_, out(v), make_const(y_->dtype, 0)); });
      const tir::Stmt sum = for_each("k", keys_, [&](const Expr& k) {
        return for_each("v", values_, [&](const Expr& v) {
          return store(y_, out(v),
                       make_load(y_, out(v)) + held(k, v) * make_load(query_, {n, head, t, k}));
        });
      });
      return tir::make_seq({clear, sum});
    });
  }

  std::vector<graph::Value> args_;
  std::vector<Buffer> buffers_;
  Buffer query_, key_, value_, past_, decay_, beta_, y_, state_;
  Expr keys_, values_;
  Buffer row_;
};

Result<graph::Value> lower_linear_attention(Builder& b, const graph::CallNode& call) {
  return Recurrence(call).emit(b);
}

}  // namespace

const OpDef& op_linear_attention() {
  static const OpDef def{.name = "linear_attention",
                         .args = {{"query"},
                                  {"key"},
                                  {"value"},
                                  {"state"},
                                  {"decay", ArgKind::tensor, true},
                                  {"beta", ArgKind::tensor, true}},
                         .infer = infer_linear_attention,
                         .lower = lower_linear_attention,
                         .doc = "attention over a state that each step decays, corrects and reads"};
  return def;
}

}  // namespace repose
