// Scan, and SequenceMap: their graphs as the bodies of loops.
#include "base/message_text.h"
#include "frontend/onnx/importer.h"
#include "frontend/onnx/sequences.h"

namespace repose::onnx {

namespace {

// Entry `i` of an optional list of numbers, each 0 where there is none.
Result<std::vector<int64_t>> list_of(const NodeContext& c, std::string_view name, size_t count) {
  REPOSE_TRY(given, c.integers(name));
  if (!given) return std::vector<int64_t>(count, 0);
  if (given->size() == count) return *given;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` has {} numbers, expected {}",
                printable(name), given->size(), count);
}

// `axis` of x moved to the front, or back to where it was.
Result<Operand> move_axis(NodeContext& c, const Operand& x, int64_t from, int64_t to) {
  if (from == to) return x;
  REPOSE_TRY(rank, c.rank(x));
  std::vector<int64_t> axes;
  for (int64_t a = 0; a < rank; ++a) {
    if (a != from) axes.push_back(a);
  }
  axes.insert(axes.begin() + to, from);
  return c.call("permute_dims", {x}, {{"axes", axes}});
}

// That scanned input `k` has as many slices as the first one.
Result<void> require_slices(NodeContext& c, size_t k, const Expr& extent, const Expr& limit) {
  return c.require(eq(extent, limit),
                   fmt::format("scan input {} has {{0}} slices, scan input 0 has {{1}}", k),
                   {extent, limit});
}

}  // namespace

// Values that go from one step to the next, and tensors whose rows the steps take, from the last
// to the first where `backward` says so.
struct Importer::ScanNode {
  const Graph& body;
  Expr limit;
  Values inits, scanned;
  std::vector<int64_t> backward;
  Expr length;  // of the steps that count, at most the limit; null: all do
};

Result<Importer::LoopResults> Importer::import_steps(const Control& c, const ScanNode& scan) {
  NodeContext context = context_of(c);
  LoopNode loop;
  loop.limit = scan.limit;
  loop.inits = scan.inits;
  const size_t num_carried = scan.inits.size();
  loop.num_stacked = scan.body.outputs.size() - num_carried;
  const Expr length = scan.length ? scan.length : scan.limit;
  loop.body = [&](const Expr& i, const Values& carried) -> Result<Values> {
    Values inputs = carried;
    for (size_t k = 0; k < scan.scanned.size(); ++k) {
      Expr at = i;
      if (scan.backward[k]) at = canonical(length - 1 - i);
      if (scan.backward[k] && scan.length) at = max(at, make_int(0));
      REPOSE_TRY(slice, row_of(context, scan.scanned[k], at));
      inputs.push_back(slice);
    }
    REPOSE_TRY(results, import_body(c, scan.body, inputs));
    if (!scan.length) return results;
    // Later steps change nothing, and give zeros.
    Composite m(context);
    REPOSE_TRY(counts, m.result(m.call(
                           "less", {m.number(i, dtypes::int64), m.number(length, dtypes::int64)})));
    for (size_t k = 0; k < results.size(); ++k) {
      if (!results[k] || (k < num_carried && results[k] == carried[k])) continue;
      const Operand other = k < num_carried ? carried[k] : context.scalar_like(results[k], 0);
      REPOSE_TRY(kept, context.call("where", {counts, results[k], other}));
      results[k] = kept;
    }
    return results;
  };
  return import_loop_body(c, loop);
}

Result<Values> Importer::import_scan(const Control& c) {
  NodeContext context = context_of(c);
  REPOSE_TRY(body, context.graph("body"));
  REPOSE_TRY(num_scanned, context.integer("num_scan_inputs"));
  const auto scanned = static_cast<size_t>(num_scanned);
  const size_t first = c.around.opset < 9 ? 1 : 0;  // behind the lengths of operator set 8
  const size_t num_inputs = std::max(c.node.inputs.size(), first) - first;
  if (num_scanned < 1 || scanned > num_inputs || body->inputs.size() != num_inputs ||
      body->outputs.size() < num_inputs - scanned) {
    return context.fail(DiagnosticKind::bad_model,
                        "{} values, {} of them scanned, but the body takes {} and gives {}",
                        num_inputs, num_scanned, body->inputs.size(), body->outputs.size());
  }
  const size_t num_carried = num_inputs - scanned;
  if (first == 1) return import_scan_of_batch(c, *body, num_carried);
  const size_t num_stacked = body->outputs.size() - num_carried;
  REPOSE_TRY(input_axes, list_of(context, "scan_input_axes", scanned));
  REPOSE_TRY(input_backward, list_of(context, "scan_input_directions", scanned));
  REPOSE_TRY(output_axes, list_of(context, "scan_output_axes", num_stacked));
  REPOSE_TRY(output_backward, list_of(context, "scan_output_directions", num_stacked));

  ScanNode scan{*body, nullptr, {}, {}, input_backward, nullptr};
  for (size_t k = 0; k < num_carried; ++k) scan.inits.push_back(context.optional(k));
  for (size_t k = 0; k < scanned; ++k) {
    REPOSE_TRY(x, context.input(num_carried + k));
    REPOSE_TRY(shape, context.shape(x));
    REPOSE_TRY(axis, context.axis(input_axes[k], static_cast<int64_t>(shape.size())));
    const Expr& extent = shape[static_cast<size_t>(axis)];
    if (!scan.limit) scan.limit = extent;
    auto equal = require_slices(context, k, extent, scan.limit);
    if (!equal.ok()) return equal.errors();
    REPOSE_TRY(moved, move_axis(context, x, axis, 0));
    scan.scanned.push_back(moved);
  }
  REPOSE_TRY(results, import_steps(c, scan));
  Values all = std::move(results.carried);
  for (size_t k = 0; k < num_stacked; ++k) {
    Operand y = results.stacked[k];
    if (y && output_backward[k]) {
      REPOSE_TRY(flipped, backward(context, y));
      y = flipped;
    }
    if (y) {
      REPOSE_TRY(rank, context.rank(y));
      REPOSE_TRY(axis, context.axis(output_axes[k], rank));
      REPOSE_TRY(moved, move_axis(context, y, 0, axis));
      y = moved;
    }
    all.push_back(y);
  }
  return all;
}

// Of operator set 8: everything has an axis for the batch in front, and each member of the batch
// its own number of steps, behind which the results are zeros. A loop over the batch, whose results
// are all stacked, around the loop over the steps.
Result<Values> Importer::import_scan_of_batch(const Control& c, const Graph& body,
                                              size_t num_carried) {
  NodeContext context = context_of(c);
  const size_t num_inputs = body.inputs.size();
  ScanNode scan{body, nullptr, {}, {}, {}, nullptr};
  REPOSE_TRY(directions, list_of(context, "directions", num_inputs - num_carried));
  scan.backward = directions;
  LoopNode batch;
  batch.num_stacked = body.outputs.size();
  auto has_batch = [&](size_t i, size_t least_rank) -> Result<Dims> {
    REPOSE_TRY(x, context.input(i));
    REPOSE_TRY(shape, context.shape(x));
    if (shape.size() < least_rank) {
      return context.fail(DiagnosticKind::rank_mismatch,
                          "operand {} has rank {}, expected at least {}", i, shape.size(),
                          least_rank);
    }
    if (!batch.limit) batch.limit = shape[0];
    auto equal = context.require(
        eq(shape[0], batch.limit),
        fmt::format("operand {} is for a batch of {{0}}, the first one for {{1}}", i),
        {shape[0], batch.limit});
    if (!equal.ok()) return equal.errors();
    return shape;
  };
  for (size_t k = 0; k < num_inputs; ++k) {
    REPOSE_TRY(shape, has_batch(1 + k, k < num_carried ? 1 : 2));
    if (k < num_carried) continue;
    if (!scan.limit) scan.limit = shape[1];
    auto equal = require_slices(context, k - num_carried, shape[1], scan.limit);
    if (!equal.ok()) return equal.errors();
  }
  if (context.has(0)) {
    if (auto fits = has_batch(0, 1); !fits.ok()) return fits.errors();
  }
  batch.body = [&](const Expr& member, const Values&) -> Result<Values> {
    ScanNode own = scan;
    for (size_t k = 0; k < num_inputs; ++k) {
      REPOSE_TRY(x, row_of(context, context.optional(1 + k), member));
      (k < num_carried ? own.inits : own.scanned).push_back(x);
    }
    if (context.has(0)) {
      REPOSE_TRY(length, row_of(context, context.optional(0), member));
      REPOSE_TRY(elements, context.elements(length, "sequence_lens"));
      own.length = elements.at(0);
      auto inside =
          context.require(logical_and(le(make_int(0), own.length), le(own.length, scan.limit)),
                          "a sequence of {0} steps in tensors of {1}", {own.length, scan.limit});
      if (!inside.ok()) return inside.errors();
    }
    REPOSE_TRY(results, import_steps(c, own));
    Values all = std::move(results.carried);
    all.insert(all.end(), results.stacked.begin(), results.stacked.end());
    return all;
  };
  REPOSE_TRY(results, import_loop_body(c, batch));
  return std::move(results.stacked);
}

// ---- SequenceMap
// ---------------------------------------------------------------------------------

// What the body makes of each tensor of a sequence, and of the tensors at the same places of
// others; of the rows that a loop has built in a loop over them.
Result<Values> Importer::import_sequence_map(const Control& c) {
  NodeContext context = context_of(c);
  REPOSE_TRY(body, context.graph("body"));
  if (body->inputs.size() != c.node.inputs.size() || body->outputs.empty()) {
    return context.fail(DiagnosticKind::bad_model, "{} values, but the body takes {} and gives {}",
                        c.node.inputs.size(), body->inputs.size(), body->outputs.size());
  }
  REPOSE_TRY(first, sequence_at(context, 0));
  std::vector<std::optional<Sequence>> sequences;  // none: a tensor, the same for all places
  for (size_t i = 0; i < c.node.inputs.size(); ++i) {
    REPOSE_TRY(v, context.input(i));
    sequences.emplace_back();
    if (!is_sequence(v)) continue;
    REPOSE_TRY(s, sequence_at(context, i));
    if (s.parts.size() != first.parts.size() || !s.rows != !first.rows) {
      return context.fail(DiagnosticKind::unsupported_feature,
                          "operand {} is a sequence made in another way than operand 0", i);
    }
    sequences.back() = s;
  }
  auto inputs_at = [&](auto&& member) -> Result<Values> {
    Values inputs;
    for (size_t i = 0; i < sequences.size(); ++i) {
      REPOSE_TRY(v, sequences[i] ? member(*sequences[i]) : Result<Operand>(context.optional(i)));
      inputs.push_back(v);
    }
    return inputs;
  };
  std::vector<Sequence> mapped(body->outputs.size());
  for (size_t at = 0; at < first.parts.size(); ++at) {
    REPOSE_TRY(inputs, inputs_at([&](const Sequence& s) { return Result<Operand>(s.parts[at]); }));
    REPOSE_TRY(results, import_body(c, *body, inputs));
    for (size_t k = 0; k < results.size(); ++k) {
      if (!results[k]) return Values(mapped.size());
      mapped[k].parts.push_back(results[k]);
    }
  }
  if (first.rows) {
    LoopNode loop;
    loop.num_stacked = mapped.size();
    REPOSE_TRY(shape, context.shape(first.rows));
    loop.limit = shape[0];
    for (const auto& s : sequences) {
      if (!s) continue;
      REPOSE_TRY(own, context.shape(s->rows));
      auto equal = context.require(eq(own[0], loop.limit), "sequences of {0} and {1} tensors",
                                   {own[0], loop.limit});
      if (!equal.ok()) return equal.errors();
    }
    loop.body = [&](const Expr& i, const Values&) -> Result<Values> {
      REPOSE_TRY(inputs, inputs_at([&](const Sequence& s) { return row_of(context, s.rows, i); }));
      return import_body(c, *body, inputs);
    };
    REPOSE_TRY(results, import_loop_body(c, loop));
    for (size_t k = 0; k < mapped.size(); ++k) {
      if (!results.stacked[k]) return Values(mapped.size());
      mapped[k].rows = results.stacked[k];
    }
  }
  Values all;
  for (Sequence& s : mapped) all.push_back(sequence_of(std::move(s)));
  return all;
}

}  // namespace repose::onnx
