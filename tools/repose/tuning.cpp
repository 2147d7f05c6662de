// Tuned programs in a file.
#include "tuning.h"

#include <nlohmann/json.hpp>

#include "content_hash.h"
#include "driver/compile.h"
#include "driver/read_model.h"
#include "script/printer.h"

namespace repose::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* format = "repose tuning 1";

Diagnostic malformed(const std::string& path, const std::string& why) {
  return error(DiagnosticKind::bad_usage, {}, "`{}` was not written by --tune: {}", path, why);
}

Json as_json(const TunedProgram& p) {
  return {{"program", p.program},
          {"vector_bits", p.numbers.vector_bits},
          {"l1_bytes", p.numbers.l1_bytes},
          {"l2_bytes", p.numbers.l2_bytes},
          {"usual_ms", p.usual_seconds * 1e3},
          {"ms", p.seconds * 1e3}};
}

// Throws what the library throws where something else stands there.
TunedProgram program_of(const Json& json) {
  TunedProgram p;
  p.program = json.at("program");
  p.numbers = {json.at("vector_bits"), json.at("l1_bytes"), json.at("l2_bytes")};
  p.usual_seconds = json.at("usual_ms").get<double>() / 1e3;
  p.seconds = json.at("ms").get<double>() / 1e3;
  return p;
}

bool is_usable(const MachineNumbers& n) {
  constexpr int64_t most_bytes = int64_t{1} << 40;
  return (n.vector_bits == 128 || n.vector_bits == 256 || n.vector_bits == 512) &&
         n.l1_bytes >= 1024 && n.l1_bytes <= most_bytes && n.l2_bytes >= 1024 &&
         n.l2_bytes <= most_bytes;
}

std::string bytes_text(int64_t bytes) {
  return fmt::format("{} kB", bytes >> 10);
}

}  // namespace

MachineNumbers numbers_of(const Target& target) {
  return {target.vector_bits, target.l1_bytes, target.l2_bytes};
}

Target with_numbers(Target target, const MachineNumbers& numbers) {
  target.vector_bits = numbers.vector_bits;
  target.l1_bytes = numbers.l1_bytes;
  target.l2_bytes = numbers.l2_bytes;
  return target;
}

std::string difference_text(const MachineNumbers& n, const MachineNumbers& usual) {
  std::vector<std::string> parts;
  if (n.vector_bits != usual.vector_bits)
    parts.push_back(fmt::format("vectors of {} bits", n.vector_bits));
  if (n.l1_bytes != usual.l1_bytes) parts.push_back("first cache of " + bytes_text(n.l1_bytes));
  if (n.l2_bytes != usual.l2_bytes) parts.push_back("second cache of " + bytes_text(n.l2_bytes));
  return parts.empty() ? "as computed" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string program_key(const tir::PrimFunc& f, const Target& target) {
  ContentHash hash;
  hash.add(print(f, "program"));
  hash.add(target.cpu);
  hash.add(target.features);
  for (const int64_t number : {int64_t{target.vector_bits}, int64_t{target.vector_registers},
                               target.l1_bytes, target.l2_bytes, target.l3_bytes}) {
    hash.add(number);
  }
  return hash.text();
}

Result<Tuning> Tuning::read(const std::string& path) {
  REPOSE_TRY(text, read_file(path));
  Tuning tuning;
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != format)
      return malformed(path, fmt::format("its format is not `{}`", format));
    for (const auto& [key, program] : json.at("programs").items()) {
      TunedProgram p = program_of(program);
      if (!is_usable(p.numbers)) {
        return malformed(path, fmt::format("program {} has numbers of no machine", key));
      }
      tuning.set(key, std::move(p));
    }
  } catch (const Json::exception& e) {
    return malformed(path, e.what());
  }
  return tuning;
}

Result<void> Tuning::write(const std::string& path) const {
  Json programs = Json::object();
  for (const auto& [key, program] : programs_) programs[key] = as_json(program);
  const Json all{{"format", format}, {"programs", std::move(programs)}};
  return write_file(path, all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

const TunedProgram* Tuning::find(const std::string& key) const {
  const auto it = programs_.find(key);
  return it == programs_.end() ? nullptr : &it->second;
}

void Tuning::set(const std::string& key, TunedProgram program) {
  programs_[key] = std::move(program);
}

void Tuning::apply(PipelineOptions& pipeline) const {
  pipeline.schedule.target_of = [tuning = *this, target = pipeline.target](const std::string&,
                                                                           const tir::PrimFunc& f) {
    const TunedProgram* tuned = tuning.find(program_key(f, target));
    return tuned ? with_numbers(target, tuned->numbers) : target;
  };
}

}  // namespace repose::cli
