// Steps of text tests, applied one after another.
#include "text/schedule_case.h"

#include <algorithm>

#include "schedule/finish.h"
#include "schedule/replay.h"
#include "script/printer.h"
#include "text/run_case.h"

namespace repose::testing_text {

namespace {

using schedule::Scheduled;

// What a refused step must not change.
bool is_as_before(const Scheduled& a, const Scheduled& b) {
  return a.func == b.func && a.steps.size() == b.steps.size() && a.names == b.names &&
         a.layouts.size() == b.layouts.size();
}

std::string written(const std::vector<schedule::Step>& steps) {
  std::string text;
  for (const schedule::Step& step : steps) text += schedule::to_string(step) + "\n";
  return text;
}

// The program with the parameters of `before`: it packs arguments itself.
tir::PrimFunc with_packers(const tir::PrimFunc& before, const tir::PrimFunc& f,
                           const std::vector<schedule::LayoutRequest>& layouts) {
  if (layouts.empty()) return f;
  std::vector<tir::Stmt> stmts;
  std::vector<Buffer> packed;
  std::map<size_t, Buffer> current;  // by parameter
  for (const schedule::LayoutRequest& request : layouts) {
    const Buffer &was = request.packer->params[0].buffer, &as = request.packer->params[1].buffer;
    Buffer& from =
        current.try_emplace(request.param, before->params[request.param].buffer).first->second;
    VarMap symbols;
    for (size_t d = 0; d < was->shape.size(); ++d) {
      if (const auto* v = repose::as<VarNode>(was->shape[d])) symbols.emplace(v, from->shape[d]);
    }
    packed.push_back(
        make_buffer(as->name + "_here", as->shape, as->dtype, Scope::workspace, {}, nullptr, 64));
    stmts.push_back(tir::substitute(request.packer->body, symbols,
                                    {{was.get(), from}, {as.get(), packed.back()}}));
    from = packed.back();
  }
  tir::BufferMap taken;
  for (const auto& [param, buffer] : current) taken.emplace(f->params[param].buffer.get(), buffer);
  stmts.push_back(tir::substitute(f->body, {}, taken));
  tir::Stmt body = tir::make_seq(std::move(stmts));
  for (const Buffer& b : packed) body = tir::make<tir::AllocateNode>(b, body);
  return tir::make_prim_func(before->params, body, f->is_private, f->attrs, f->span);
}

class ScheduleRunner {
 public:
  ScheduleRunner(const Module& module, const TextFile& file, const TextCase& c,
                 Diagnostics& messages, const CheckModule& check)
      : case_(c), messages_(messages), check_(check) {
    source_ = make_text_source(file.path, fmt::format("{}", fmt::join(file.lines, "\n")));
    result_.output = result_.blocks = result_.loops = module;
    for (const std::string& name : module.names()) {
      if (tir::PrimFunc f = module.prim_func(name)) {
        result_.programs.push_back({name, f, schedule::begin_schedule(f)});
        result_.output.set(name, result_.programs.back().after.func);
      }
    }
  }

  ScheduledCase run() {
    for (ProgramSteps& p : result_.programs) replays_.emplace_back(p.after);
    bool ok = check_("the programs as they are begun", result_.output);
    for (const ScheduleLine& line : case_.schedule) ok = ok && apply(line);
    for (const ProgramSteps& p : result_.programs) {
      const auto& layouts = p.after.layouts;
      const auto finished = schedule::finish_schedule(p.after);
      if (!finished.ok()) {
        fail("`finish_schedule`: {}", to_string(finished.errors()));
        continue;
      }
      const tir::PrimFunc& loops = *finished;
      result_.blocks.set(p.name, with_packers(p.before, p.after.func, layouts));
      result_.loops.set(p.name, with_packers(p.before, loops, layouts));
      if (ok) check_recorded(p);
    }
    if (ok) check_("the programs without blocks", result_.loops);
    return std::move(result_);
  }

 private:
  const TextCase& case_;
  Diagnostics& messages_;
  const CheckModule& check_;
  Ref<const Source> source_;
  ScheduledCase result_;
  std::vector<schedule::Replay> replays_;  // by program

  template <class... Args>
  void fail(fmt::format_string<Args...> text, Args&&... args) {
    result_.failures.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  // False: the case ends here.
  bool apply(const ScheduleLine& line) {
    std::vector<ProgramSteps>& all = result_.programs;
    auto it = line.program.empty()
                  ? all.begin()
                  : std::find_if(all.begin(), all.end(),
                                 [&](const ProgramSteps& p) { return p.name == line.program; });
    if (it == all.end()) {
      fail("line {}: there is no tensor program `{}`", line.line, line.program);
      return false;
    }
    const Scheduled before = it->after;
    auto done = replays_[it - all.begin()].apply({{source_, line.line, line.column}, line.step});
    if (!done.ok()) return refused(line, done.errors(), is_as_before(before, it->after));
    if (it->after.steps.size() != before.steps.size() + 1) {
      fail("line {}: the step was recorded {} times", line.line,
           it->after.steps.size() - before.steps.size());
    }
    result_.output.set(it->name, it->after.func);
    return check_("`" + line.step + "`", result_.output);
  }

  bool refused(const ScheduleLine& line, const Diagnostics& errors, bool is_as_before) {
    messages_.insert(messages_.end(), errors.begin(), errors.end());
    if (!is_as_before) fail("line {}: the step is refused, but changed the program", line.line);
    return std::any_of(case_.messages.begin(), case_.messages.end(),
                       [&](const ExpectedMessage& m) { return m.line == line.line; });
  }

  void check_recorded(const ProgramSteps& p) {
    const std::string steps = written(p.after.steps);
    Scheduled again = schedule::begin_schedule(p.before);
    auto done = schedule::replay(again, make_text_source("recorded steps", steps));
    if (!done.ok()) {
      return fail("recorded steps do not replay: {}in\n{}", to_string(done.errors()), steps);
    }
    const std::string found = text_difference(print(p.after.func), print(again.func));
    if (!found.empty())
      fail("recorded steps, replayed, give another program:{}in\n{}", found, steps);
    if (written(again.steps) != steps) {
      fail("recorded steps, replayed, are recorded otherwise:{}",
           text_difference(steps, written(again.steps)));
    }
  }
};

}  // namespace

ScheduledCase run_schedule(const Module& module, const TextFile& file, const TextCase& c,
                           Diagnostics& messages, const CheckModule& check) {
  return ScheduleRunner(module, file, c, messages, check).run();
}

}  // namespace repose::testing_text
