// Reading calls and values with the reader of modules.
#include "text/run_line.h"

#include "ops/ops.h"
#include "script/parser.h"
#include "text/native.h"
#include "text/text_file.h"

namespace repose::testing_text {

namespace {

template <class... Args>
Diagnostic bad(fmt::format_string<Args...> text, Args&&... args) {
  return error(DiagnosticKind::syntax, {}, text, std::forward<Args>(args)...);
}

// A value of the graph IR that mentions nothing.
Result<HostValue> read_value(const std::string& text) {
  auto module =
      parse_module(make_text_source("value", "@R.function\ndef main():\n    return " + text + "\n"),
                   standard_ops());
  if (!module.ok()) return module.errors();
  return interpret(*module, standard_ops(), "main", {});
}

Result<HostValue> read_typed(const std::string& text, const Type& type) {
  if (text.rfind("R.", 0) == 0) return read_value(text);
  if (const auto* tensor = as<TensorTypeNode>(type)) {
    const DType dtype = tensor->dtype ? tensor->dtype : dtypes::float32;
    return read_value(fmt::format("R.const({}, \"{}\")", text, dtype.to_string()));
  }
  if (as<ShapeTypeNode>(type)) return read_value("R.shape(" + text + ")");
  if (const auto* prim = as<PrimTypeNode>(type)) {
    if (prim->dtype.is_index()) return HostValue(Scalar::of_int(std::stoll(text), dtypes::index));
    return read_value(fmt::format("R.prim_value(T.{}({}))", prim->dtype.to_string(), text));
  }
  const auto* tuple = as<TupleTypeNode>(type);
  if (!tuple || text.size() < 2 || text.front() != '(' || text.back() != ')') {
    return bad("`{}` is no value of type `{}`", text, to_string(type));
  }
  const auto parts = split_outside_brackets(text.substr(1, text.size() - 2), ',');
  if (parts.size() != tuple->fields.size()) {
    return bad("`{}` has {} members, expected {}", text, parts.size(), tuple->fields.size());
  }
  HostValue::Tuple fields;
  for (size_t i = 0; i < parts.size(); ++i) {
    REPOSE_TRY(field, read_typed(parts[i], tuple->fields[i]));
    fields.push_back(field);
  }
  return HostValue(std::move(fields));
}

// "name=value": the parameter's position, and the value.
std::pair<size_t, std::string> named(const std::string& text, const graph::Function& f) {
  for (size_t i = 0; i < f->params.size(); ++i) {
    const std::string prefix = f->params[i]->name + "=";
    if (text.rfind(prefix, 0) == 0) return {i, trimmed(text.substr(prefix.size()))};
  }
  return {f->params.size(), ""};
}

Result<void> read_args(Call& call, const std::string& text, const graph::Function& f) {
  std::vector<std::string> texts(f->params.size());
  size_t next = 0;
  for (const std::string& part : split_outside_brackets(text, ',')) {
    auto [position, value] = named(part, f);
    if (position == texts.size()) {
      position = next++;
      value = part;
    }
    if (position >= texts.size())
      return bad("`{}` takes {} arguments", call.function, texts.size());
    texts[position] = value;
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) return bad("argument {} of `{}` is missing", i, call.function);
    REPOSE_TRY(value, read_typed(texts[i], f->params[i]->type));
    call.args.push_back(value);
  }
  return {};
}

}  // namespace

Result<Call> read_call(const std::string& text, const Module& module) {
  static constexpr std::pair<const char*, int> forms[] = {
      {") == ", 0}, {") ~= ", 1}, {") fails: ", 2}};
  Call call;
  size_t end = std::string::npos;
  for (const auto& [mark, form] : forms) {
    const size_t at = text.find(mark);
    if (at == std::string::npos || at >= end) continue;
    end = at;
    call.expected = trimmed(text.substr(at + std::string(mark).size()));
    call.closeness = form == 1 ? Closeness::rounding : Closeness::exact;
    call.fails = form == 2;
  }
  const size_t open = text.find('(');
  if (end == std::string::npos || open == std::string::npos) {
    return bad("expected `function(arguments) == result`, `~= result` or `fails: message`");
  }
  call.function = text.substr(0, open);
  const graph::Function f = module.graph_function(call.function);
  if (!f) return bad("no graph function `{}`", call.function);
  auto done = read_args(call, text.substr(open + 1, end - open - 1), f);
  if (!done.ok()) return done.errors();
  return call;
}

std::string check_outcome(const Call& call, const Outcome& outcome) {
  if (call.fails) {
    if (outcome.kind == Outcome::Kind::ran) return "it ran: " + to_string(outcome.value);
    if (outcome.error.find(call.expected) != std::string::npos) return "";
    return "another message: " + outcome.error;
  }
  if (outcome.kind != Outcome::Kind::ran) return outcome.error;
  auto expected = read_typed(call.expected, type_of(outcome.value));
  if (!expected.ok()) return to_string(expected.errors());
  return difference(outcome.value, *expected, call.closeness);
}

std::string check_native(const Call& call, const Outcome& native, const Outcome& interpreted) {
  const bool both_ran = native.kind == Outcome::Kind::ran && interpreted.kind == Outcome::Kind::ran;
  if (call.fails || !both_ran) return check_outcome(call, native);
  auto expected = read_typed(call.expected, type_of(interpreted.value));
  if (!expected.ok()) return to_string(expected.errors());
  return difference(native.value, as_native(*expected), call.closeness);
}

}  // namespace repose::testing_text
