// Lines of schedules.
#include "schedule/schedule_text.h"

#include <string_view>

namespace repose::schedule {

namespace {

// The line without spaces around it and without its comment; where it begins.
StepText trimmed(const Ref<const Source>& source, int number, std::string_view line) {
  line = line.substr(0, line.find('#'));
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  const size_t end = line.find_last_not_of(" \t\r");
  return {{source, number, static_cast<int>(begin) + 1},
          std::string(line.substr(begin, end + 1 - begin))};
}

}  // namespace

std::vector<StepText> steps_in(const Ref<const Source>& text) {
  std::vector<StepText> steps;
  std::string_view rest = text->text;
  for (int number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    StepText step = trimmed(text, number, rest.substr(0, end));
    if (!step.text.empty()) steps.push_back(std::move(step));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return steps;
}

Result<ScheduleTexts> read_schedules(const Ref<const Source>& text) {
  ScheduleTexts schedules;
  Diagnostics problems;
  ScheduleText* current = nullptr;
  for (StepText& step : steps_in(text)) {
    if (step.text.back() != ':') {
      if (current) {
        current->steps.push_back(std::move(step));
      } else {
        problems.push_back(error(DiagnosticKind::syntax, step.at,
                                 "a step stands before the first line `name:` of a program"));
      }
      continue;
    }
    std::string name = step.text.substr(0, step.text.size() - 1);
    auto [it, is_new] = schedules.try_emplace(name, ScheduleText{step.at, {}});
    if (!is_new) {
      problems.push_back(
          error(DiagnosticKind::ill_formed, step.at, "a second schedule of `{}`", name));
    }
    current = &it->second;
  }
  if (!problems.empty()) return problems;
  return schedules;
}

}  // namespace repose::schedule
