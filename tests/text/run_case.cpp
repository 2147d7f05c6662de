// What each command of a text test does, and what always holds of passes.
#include "text/run_case.h"

#include <algorithm>
#include <sstream>

#include "frontend/relay/import.h"
#include "ir/structural.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/graph/gradient.h"
#include "passes/tensor/find_sharing.h"
#include "schedule/finish.h"
#include "schedule/replay.h"
#include "script/parser.h"
#include "script/printer.h"
#include "text/gradient_case.h"
#include "text/inputs.h"
#include "text/native.h"
#include "text/run_line.h"
#include "text/schedule_case.h"

namespace repose::testing_text {

namespace {

using Weights = std::map<std::string, Array, std::less<>>;

Weights weights_of(const TextCase& c) {
  Weights weights;
  for (const WeightLine& w : c.weights) {
    std::mt19937 random(static_cast<uint32_t>(weights.size()));
    const auto dtype = DType::parse(w.dtype);
    weights[w.name] =
        random_array(w.shape, dtype.value_or(dtypes::float32), Contents::small, random);
  }
  return weights;
}

Result<Module> parse_with(const std::string& name, const std::string& text, const Weights& weights,
                          Diagnostics* warnings = nullptr) {
  ParseOptions options;
  options.warnings = warnings;
  options.weights = [&](std::string_view weight) -> Array {
    auto it = weights.find(weight);
    return it == weights.end() ? nullptr : it->second;
  };
  return parse_module(make_text_source(name, text), standard_ops(), options);
}

// Relay has no comments that begin with `#`; `#[version = …]` is its own.
std::string relay_of(const std::string& source) {
  std::string text;
  std::istringstream stream(source);
  for (std::string line; std::getline(stream, line);) {
    const size_t comment = line.find("# ");
    text += line.substr(0, comment) + "\n";
  }
  return text;
}

std::string print_with_weights(const Module& module, Weights& weights) {
  PrintOptions options;
  options.on_weight = [&](const std::string& name, const Array& data) { weights[name] = data; };
  return print(module, options);
}

// Without the import line, which is the same in every text.
std::string text_of(const Module& module) {
  Weights weights;
  std::string text = print_with_weights(module, weights);
  if (text.rfind("from ", 0) == 0) text.erase(0, text.find('\n') + 1);
  text.erase(0, text.find_first_not_of('\n'));
  while (text.size() > 1 && text[text.size() - 2] == '\n') text.pop_back();
  return text;
}

bool is_same(const Module& a, const Module& b) {
  if (a.names() != b.names()) return false;
  for (const std::string& name : a.names()) {
    const bool same_pointers =
        a.graph_function(name) == b.graph_function(name) && a.prim_func(name) == b.prim_func(name);
    if (!same_pointers) return structural_equal(a, b);
  }
  return true;
}

class CaseRunner {
 public:
  CaseRunner(const TextFile& file, const TextCase& c, const RunOptions& options)
      : file_(file), case_(c), options_(options) {}

  CaseResult run() {
    Diagnostics messages;
    auto module =
        file_.command == "relay"
            ? import_relay(make_text_source(file_.path, relay_of(case_.source)), standard_ops())
            : parse_with(file_.path, case_.source, weights_of(case_), &messages);
    if (module.ok()) {
      if (auto result = run_command(*module, messages)) finish(*module, *result);
    } else {
      add(messages, module.errors());
    }
    compare_messages(messages);
    return std::move(result_);
  }

 private:
  const TextFile& file_;
  const TextCase& case_;
  const RunOptions& options_;
  CaseResult result_;

  template <class... Args>
  void fail(fmt::format_string<Args...> text, Args&&... args) {
    result_.failures.push_back(fmt::format(text, std::forward<Args>(args)...));
  }
  static void add(Diagnostics& to, const Diagnostics& more) {
    to.insert(to.end(), more.begin(), more.end());
  }

  const PassUnderTest* find_pass(const std::string& name) const {
    for (const PassUnderTest& p : options_.passes) {
      if (p.name == name) return &p;
    }
    return nullptr;
  }

  // The module that the command gives; nothing where `messages` has an error.
  std::optional<Module> run_command(const Module& module, Diagnostics& messages) {
    const Diagnostics problems = verify(module, standard_ops());
    add(messages, problems);
    if (!problems.empty()) return std::nullopt;
    round_trip("input", module);
    if (file_.command == "run" || file_.command == "relay") compare_with_native(module);
    if (file_.command == "schedule") return scheduled(module, messages);
    if (file_.command == "gradient") return with_gradient(module, messages);
    if (file_.command != "pass") return module;
    Module current = module;
    for (const std::string& name : file_.arguments) {
      const PassUnderTest* pass = find_pass(name);
      if (!pass) {
        fail("no pass is called `{}`", name);
        return std::nullopt;
      }
      auto next = pass->run(current);
      if (!next.ok()) {
        add(messages, next.errors());
        return std::nullopt;
      }
      check_pass(*pass, current, *next);
      current = std::move(*next);
    }
    return current;
  }

  std::optional<Module> with_gradient(const Module& module, Diagnostics& messages) {
    auto result = gradient(module, standard_ops());
    if (!result.ok()) {
      add(messages, result.errors());
      return std::nullopt;
    }
    const Diagnostics problems = verify(*result, standard_ops());
    if (!problems.empty()) {
      fail("the gradient is not well formed: {}{}", to_string(problems), text_of(*result));
      return *result;
    }
    round_trip("gradient", *result);
    if (case_.no_run) return *result;
    const std::string found = compare_with_differences(*result, !case_.no_native);
    if (!found.empty()) fail("{}\n{}", found, text_of(*result));
    return *result;
  }

  Module scheduled(const Module& module, Diagnostics& messages) {
    auto check = [&](const std::string& what, const Module& result) {
      const size_t failed = result_.failures.size();
      const Diagnostics problems = verify(result, standard_ops());
      if (!problems.empty()) {
        fail("{}: not well formed: {}in\n{}", what, to_string(problems), text_of(result));
      } else {
        round_trip("result of " + what, result);
      }
      return result_.failures.size() == failed;
    };
    ScheduledCase done = run_schedule(module, file_, case_, messages, check);
    for (std::string& text : done.failures) result_.failures.push_back(std::move(text));
    if (!result_.failures.empty()) return done.output;
    PassUnderTest steps;
    for (const ProgramSteps& p : done.programs) {
      if (schedule::reassociates(p.after.steps)) steps.closeness = Closeness::rounding;
    }
    compare_runs(steps, "the steps", module, done.blocks);
    compare_runs(steps, "the steps and `finish_schedule`", module, done.loops);
    if (!result_.failures.empty() || case_.no_native || case_.no_run) return done.output;
    for (const ProgramSteps& p : done.programs) {
      const auto plain = schedule::finish_schedule(schedule::begin_schedule(p.before));
      if (!plain.ok()) {
        fail("`{}` without steps: {}", p.name, to_string(plain.errors()));
        continue;
      }
      compare_programs(p.name, p.before, *plain, done.loops.prim_func(p.name), steps.closeness);
    }
    return done.output;
  }

  // Native code of a program without steps and after them: the same bits, unless they reassociate;
  // the latter beside the interpreter.
  void compare_programs(const std::string& name, const tir::PrimFunc& before,
                        const tir::PrimFunc& without_steps, const tir::PrimFunc& after,
                        Closeness closeness) {
    auto native = NativeProgram::load(after), plain = NativeProgram::load(without_steps);
    if (!native.ok()) return fail("native code of `{}`: {}", name, to_string(native.errors()));
    if (!plain.ok()) return fail("native code of `{}`: {}", name, to_string(plain.errors()));
    Module module;
    module.set(name, before);
    auto compare = [&](const Outcome& a, const Outcome& b, const char* what, Closeness how) {
      if (a.kind != b.kind) return fmt::format("{}: {}{}", what, a.error, b.error);
      const std::string found =
          a.kind == Outcome::Kind::ran ? testing_text::difference(a.value, b.value, how) : "";
      return found.empty() ? found : fmt::format("{}: {}", what, found);
    };
    const std::string what = "native code of `" + name + "`";
    compare_function(what, signature(before), closeness == Closeness::exact,
                     [&](const std::vector<HostValue>& args, std::string& difference) {
                       difference = compare(plain->call(args), native->call(args),
                                            "before and after", closeness);
                       return true;
                     });
    compare_function(what, signature(before), false,
                     [&](const std::vector<HostValue>& args, std::string& difference) {
                       const Outcome a = testing_text::run(module, name, args);
                       if (a.kind == Outcome::Kind::too_large) return false;
                       difference = compare(a, native->call(args), "the interpreter and it",
                                            Closeness::rounding);
                       return true;
                     });
  }

  // ---- What always holds -----------------------------------------------------------------------

  void round_trip(const std::string& what, const Module& module) {
    Weights weights;
    const std::string text = print_with_weights(module, weights);
    auto again = parse_with(what, text, weights);
    if (!again.ok())
      return fail("the {}, printed, is not read: {}", what, to_string(again.errors()));
    const std::string twice = print(*again);
    if (twice != text)
      fail("the {}, printed and read, prints otherwise:{}", what, text_difference(text, twice));
    if (!structural_equal(module, *again))
      fail("the {}, printed and read, is another module:\n{}", what, text);
  }

  void check_pass(const PassUnderTest& pass, const Module& before, const Module& after) {
    check_result(pass, pass.name, before, after);
    for (size_t i = 0; i < pass.variants.size(); ++i) {
      auto other = pass.variants[i](before);
      const std::string name = fmt::format("{}, variant {}", pass.name, i + 1);
      if (other.ok()) {
        check_result(pass, name, before, *other);
      } else {
        fail("`{}`: {}", name, to_string(other.errors()));
      }
    }
    if (pass.second_run) return;
    auto twice = pass.run(after);
    if (!twice.ok()) return fail("`{}` a second time: {}", pass.name, to_string(twice.errors()));
    if (is_same(after, *twice)) return;
    fail("`{}` a second time changes its result:{}", pass.name,
         pass.not_printed ? "" : text_difference(text_of(after), text_of(*twice)));
  }

  void check_result(const PassUnderTest& pass, const std::string& name, const Module& before,
                    const Module& after) {
    const Diagnostics problems = verify(after, standard_ops());
    if (!problems.empty()) {
      fail("the result of `{}` is not well formed: {}{}", name, to_string(problems),
           pass.not_printed ? "" : text_of(after));
      return;
    }
    if (!pass.not_printed) round_trip("result of `" + name + "`", after);
    compare_runs(pass, name, before, after);
    for (const std::string& program : after.names()) {
      const tir::PrimFunc f = after.prim_func(program);
      if (!f) continue;
      for (const Sharing::InPlace& pair : sharing_of(*f).in_place) check_in_place(name, f, pair);
    }
  }

  // What a program says of memory that its parameters may share.
  void check_in_place(const std::string& pass, const tir::PrimFunc& f,
                      const Sharing::InPlace& pair) {
    const Signature s = signature(f);
    uint32_t seed = 0;
    for (const Assignment& symbols : assignments(s)) {
      const auto args = random_arguments(s, symbols, Contents::small, ++seed);
      if (!args) continue;
      const Array result = (*args)[pair.result].tensor(), operand = (*args)[pair.operand].tensor();
      if (result->num_bytes != operand->num_bytes) continue;
      const Outcome apart = run_with_shared_memory(f, *args, pair.result, pair.operand, false);
      const Outcome together = run_with_shared_memory(f, *args, pair.result, pair.operand, true);
      if (apart.kind != Outcome::Kind::ran) continue;
      if (together.kind != Outcome::Kind::ran) {
        return fail("`{}`: result {} in place of {}, {}: {}", pass, pair.result, pair.operand,
                    to_string(symbols), together.error);
      }
      const std::string found = difference(apart.value, together.value, Closeness::exact);
      if (found.empty()) continue;
      return fail("`{}`: result {} in place of {}, {}: {} in\n{}", pass, pair.result, pair.operand,
                  to_string(symbols), found, print(f));
    }
  }

  // ---- Before and after ------------------------------------------------------------------------

  void compare_runs(const PassUnderTest& pass, const std::string& name, const Module& before,
                    const Module& after) {
    bool any = false;
    for (const std::string& function : public_functions(before)) {
      any = true;
      const Signature s = signature_of(before, function);
      auto compare = [&](const std::vector<HostValue>& args, std::string& difference) {
        const Outcome a = testing_text::run(before, function, args);
        if (a.kind == Outcome::Kind::too_large) return false;
        const Outcome b =
            testing_text::run(after, function, pass.makes_tensors ? as_native(args) : args);
        if (b.kind == Outcome::Kind::too_large) return false;
        difference = compare_outcomes(pass, a, b);
        return a.kind == Outcome::Kind::ran;
      };
      const bool specials = pass.closeness == Closeness::exact;
      compare_function("`" + name + "`, function `" + function + "`", s, specials, compare);
    }
    if (!any && !case_.no_run) fail("no public function to run; say `# no-run: reason`");
  }

  static std::string compare_outcomes(const PassUnderTest& pass, const Outcome& before,
                                      const Outcome& after) {
    const bool ran = before.kind == Outcome::Kind::ran;
    if (after.kind == Outcome::Kind::refused) {
      return ran ? "it ran before, and is refused after: " + after.error : "";
    }
    if (!ran)
      return pass.drops_failures ? "" : "it was refused before, and runs after: " + before.error;
    if (before.printed != after.printed) {
      return "it printed\n" + before.printed + "and prints\n" + after.printed;
    }
    const std::string found = difference(
        pass.makes_tensors ? as_native(before.value) : before.value, after.value, pass.closeness);
    return found.empty() ? "" : "before and after: " + found;
  }

  void compare_with_native(const Module& module) {
    if (case_.no_native) return;
    auto native = NativeModule::load(module);
    if (!native.ok()) return fail("native code: {}", to_string(native.errors()));
    for (const std::string& function : public_functions(module)) {
      if (!module.graph_function(function)) continue;
      auto compare = [&](const std::vector<HostValue>& args, std::string& difference) {
        const Outcome a = testing_text::run(module, function, args);
        if (a.kind == Outcome::Kind::too_large) return false;
        const Outcome b = native->call(function, args);
        if (a.kind != b.kind) {
          difference =
              fmt::format("the interpreter {}, native code {}", a.error.empty() ? "runs" : a.error,
                          b.error.empty() ? "runs" : b.error);
        } else if (a.kind == Outcome::Kind::ran) {
          const std::string found =
              testing_text::difference(as_native(a.value), b.value, Closeness::rounding);
          if (!found.empty()) difference = "the interpreter and native code: " + found;
        }
        return a.kind == Outcome::Kind::ran;
      };
      compare_function("function `" + function + "`", signature_of(module, function), false,
                       compare);
    }
  }

  // Calls `compare` on random arguments until it finds a difference; it tells whether the function
  // ran.
  using Compare = std::function<bool(const std::vector<HostValue>&, std::string& difference)>;
  void compare_function(const std::string& what, const Signature& s, bool specials,
                        const Compare& compare) {
    int ran = 0;
    uint32_t seed = 0;
    for (const Assignment& symbols : assignments(s)) {
      for (Contents contents : {Contents::small, Contents::special}) {
        if (contents == Contents::special && !specials) continue;
        auto args = random_arguments(s, symbols, contents, ++seed);
        if (!args) continue;
        std::string difference;
        ran += compare(*args, difference);
        if (difference.empty()) continue;
        return fail("{}, {}: {}", what, to_string(symbols), difference);
      }
    }
    if (ran == 0 && !case_.no_run) fail("{} runs for no arguments; say `# no-run: reason`", what);
    if (ran > 0 && case_.no_run) fail("{} runs, though the case says `# no-run:`", what);
  }

  static std::vector<std::string> public_functions(const Module& m) {
    std::vector<std::string> names;
    for (const std::string& name : m.names()) {
      const graph::Function g = m.graph_function(name);
      const tir::PrimFunc p = m.prim_func(name);
      if ((g && !g->is_private) || (p && !p->is_private)) names.push_back(name);
    }
    return names;
  }

  static Signature signature_of(const Module& m, const std::string& name) {
    const graph::Function g = m.graph_function(name);
    return g ? signature(g) : signature(m.prim_func(name));
  }

  // ---- What the case says ----------------------------------------------------------------------

  void finish(const Module& input, const Module& output) {
    run_lines(input, output);
    const bool is_printed =
        std::none_of(file_.arguments.begin(), file_.arguments.end(), [&](const std::string& name) {
          const PassUnderTest* pass = find_pass(name);
          return pass && pass->not_printed;
        });
    if (is_printed) result_.output = text_of(output);
    if (case_.is_unchanged && !is_same(input, output)) {
      fail("it is changed:{}", text_difference(text_of(input), text_of(output)));
    }
    if ((case_.expected || !case_.checks.empty()) && !is_printed) {
      return fail("the output isn't printed: nothing of it can be expected");
    }
    if (case_.expected && !options_.is_blessing && *case_.expected != *result_.output) {
      fail("another output than expected:{}", text_difference(*case_.expected, *result_.output));
    }
    if (!case_.checks.empty()) {
      const std::string found = check_lines(case_.checks, *result_.output);
      if (!found.empty()) fail("{}\nin\n{}", found, *result_.output);
    }
    const bool says_something = case_.expected || !case_.checks.empty() || case_.is_unchanged ||
                                !case_.runs.empty() || !is_printed || !case_.messages.empty();
    const bool is_said =
        file_.command == "verify" || file_.command == "run" || file_.command == "gradient";
    if (!says_something && !is_said) {
      fail("the case expects nothing: no `# ==>`, `# check:`, `# unchanged` or `# run:`");
    }
  }

  bool changes_interface() const {
    return std::any_of(file_.arguments.begin(), file_.arguments.end(),
                       [this](const std::string& name) {
                         const PassUnderTest* pass = find_pass(name);
                         return pass && pass->makes_tensors;
                       });
  }

  void run_lines(const Module& input, const Module& output) {
    if (case_.runs.empty()) return;
    std::optional<NativeModule> native;
    if (!case_.no_native) {
      auto loaded = NativeModule::load(input);
      if (!loaded.ok()) return fail("native code: {}", to_string(loaded.errors()));
      native = std::move(*loaded);
    }
    for (const RunLine& line : case_.runs) {
      auto call = read_call(line.text, input);
      if (!call.ok()) {
        fail("line {}: {}", line.line, to_string(call.errors()));
        continue;
      }
      auto check = [&](const char* where, const Outcome& outcome) {
        const std::string found = check_outcome(*call, outcome);
        if (!found.empty()) fail("line {}, {}: {}", line.line, where, found);
      };
      const Outcome interpreted = testing_text::run(input, call->function, call->args);
      check("interpreter", interpreted);
      if (file_.command == "pass" || file_.command == "schedule") {
        const Outcome after = testing_text::run(
            output, call->function, changes_interface() ? as_native(call->args) : call->args);
        const std::string found = changes_interface() ? check_native(*call, after, interpreted)
                                                      : check_outcome(*call, after);
        if (!found.empty()) fail("line {}, interpreter, after: {}", line.line, found);
      }
      if (!native) continue;
      const std::string found =
          check_native(*call, native->call(call->function, call->args), interpreted);
      if (!found.empty()) fail("line {}, native code: {}", line.line, found);
    }
  }

  // Each message is expected, each expected one is there.
  void compare_messages(const Diagnostics& messages) {
    std::vector<ExpectedMessage> missing = case_.messages;
    for (const Diagnostic& d : messages) {
      const bool is_warning = d.severity == Diagnostic::Severity::warning;
      const int line = d.span ? d.span.line : 0;
      auto it = std::find_if(missing.begin(), missing.end(), [&](const ExpectedMessage& m) {
        return m.line == line && m.is_warning == is_warning &&
               d.text.find(m.text) != std::string::npos;
      });
      if (it == missing.end()) {
        fail("unexpected: {}", d.to_string());
      } else {
        missing.erase(it);
      }
    }
    for (const ExpectedMessage& m : missing) {
      fail("line {}: no {} contains `{}`", m.line, m.is_warning ? "warning" : "error", m.text);
    }
  }
};

std::vector<std::string> compared_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

CaseResult run_case(const TextFile& file, const TextCase& c, const RunOptions& options) {
  return CaseRunner(file, c, options).run();
}

std::string text_difference(const std::string& expected, const std::string& actual) {
  if (expected == actual) return "";
  const auto a = compared_lines(expected), b = compared_lines(actual);
  size_t begin = 0, end = 0;
  while (begin < a.size() && begin < b.size() && a[begin] == b[begin]) ++begin;
  while (end + begin < a.size() && end + begin < b.size() &&
         a[a.size() - 1 - end] == b[b.size() - 1 - end]) {
    ++end;
  }
  std::string text = fmt::format("\n  from line {} of the text:\n", begin + 1);
  for (size_t i = begin; i + end < a.size(); ++i) text += "- " + a[i] + "\n";
  for (size_t i = begin; i + end < b.size(); ++i) text += "+ " + b[i] + "\n";
  return text;
}

std::string check_lines(const std::vector<Check>& checks, const std::string& text) {
  size_t position = 0;
  std::vector<const Check*> forbidden;  // since the last check
  auto find_forbidden = [&](size_t end) -> std::string {
    const std::string between = text.substr(position, end - position);
    for (const Check* c : forbidden) {
      if (between.find(c->text) != std::string::npos)
        return "`# check-not: " + c->text + "`: it is there";
    }
    forbidden.clear();
    return "";
  };
  for (const Check& c : checks) {
    if (c.is_not) {
      forbidden.push_back(&c);
      continue;
    }
    const size_t at = text.find(c.text, position);
    if (at == std::string::npos) return "`# check: " + c.text + "`: it is not there";
    if (std::string found = find_forbidden(at); !found.empty()) return found;
    position = at + c.text.size();
  }
  return find_forbidden(text.size());
}

}  // namespace repose::testing_text
