// LLD as a library: one mutex, memory files, and LLD's messages made into diagnostics.
#include "codegen/llvm/link_lld.h"

#include <fcntl.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/raw_ostream.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

LLD_HAS_DRIVER(elf)

namespace repose {
namespace {

constexpr size_t max_notes = 20;

// LLD keeps its state in globals, so there is one of it.
struct Linker {
  std::mutex mutex;
  bool can_run = true;
};

Linker& linker() {
  static Linker instance;
  return instance;
}

struct Outcome {
  lld::Result result{};
  std::string text;
};

Outcome call_lld(const std::vector<const char*>& arguments) {
  Outcome outcome;
  llvm::raw_string_ostream stream(outcome.text);
  // With recovery a fatal error returns from lldMain; without, it ends the process.
  llvm::CrashRecoveryContext::Enable();
  outcome.result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  llvm::CrashRecoveryContext::Disable();
  return outcome;
}

void replace_path(std::string& text, const std::string& path, const std::string& name) {
  for (size_t at = 0; (at = text.find(path, at)) != std::string::npos;) {
    const size_t end = at + path.size();
    const bool longer_number = end < text.size() &&
                               std::isdigit(static_cast<unsigned char>(text[end])) &&
                               std::isdigit(static_cast<unsigned char>(path.back()));
    if (longer_number) {
      at = end;
      continue;
    }
    text.replace(at, path.size(), name);
    at += name.size();
  }
}

std::vector<std::string> message_lines(std::string_view text) {
  constexpr std::string_view prefixes[] = {"ld.lld: ", "error: ", "fatal error: ", ">>> "};
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    for (std::string_view prefix : prefixes) {
      if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
    }
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

// LLD says which file it could not write only in words.
bool is_about_output(const std::string& line, const std::string& output) {
  return line.find("cannot open output file") != std::string::npos ||
         line.find("failed to write output") != std::string::npos ||
         (line.find("failed to open") != std::string::npos &&
          line.find(output) != std::string::npos);
}

Diagnostic failure(std::string text, int code, const std::vector<MemoryFile>& files,
                   const std::string& output, const std::string& output_name) {
  std::vector<std::string> lines = message_lines(text);
  if (lines.empty()) lines.push_back(fmt::format("the linker stopped with code {}", code));
  const bool about_output = is_about_output(lines[0], output);
  for (std::string& line : lines) {
    for (const MemoryFile& file : files) replace_path(line, file.path(), "`" + file.name() + "`");
    replace_path(line, output, output_name);
  }
  Diagnostic result =
      about_output
          ? error(DiagnosticKind::cannot_write, {}, "cannot write `{}`: {}", output_name, lines[0])
          : error(DiagnosticKind::link_failed, {}, "cannot link `{}`: {}", output_name, lines[0]);
  for (size_t i = 1; i < lines.size() && i <= max_notes; ++i)
    result.notes.push_back({{}, lines[i]});
  return result;
}

// LLD writes `<output>.tmp<random>` first, and leaves it behind where it crashes.
void remove_leftovers(const std::string& output) {
  const std::filesystem::path path(output);
  const std::string start = path.filename().string() + ".tmp";
  std::error_code ignored;
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::filesystem::directory_iterator entry(folder, ignored);
  for (; entry != std::filesystem::directory_iterator(); entry.increment(ignored)) {
    if (entry->path().filename().string().starts_with(start)) {
      std::filesystem::remove(entry->path(), ignored);
    }
  }
}

bool write_all(int descriptor, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Result<MemoryFile> MemoryFile::create(std::string name, std::span<const char> bytes,
                                      const std::string& beside) {
  const bool on_disk = ::access("/proc/self/fd", X_OK) != 0;
  std::string path = beside + ".XXXXXX";
  const int descriptor =
      on_disk ? ::mkostemp(path.data(), O_CLOEXEC) : ::memfd_create("repose", MFD_CLOEXEC);
  if (!on_disk) path = fmt::format("/proc/self/fd/{}", descriptor);
  MemoryFile file(std::move(name), std::move(path), descriptor, on_disk);
  if (descriptor < 0 || !write_all(descriptor, bytes)) {
    return error(DiagnosticKind::cannot_write, {}, "cannot hold {} ({} bytes): {}", file.name_,
                 bytes.size(), std::strerror(errno));
  }
  return file;
}

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : name_(std::move(other.name_)),
      path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      on_disk_(other.on_disk_) {}

MemoryFile::~MemoryFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (on_disk_) ::unlink(path_.c_str());
}

Result<void> run_lld(const std::vector<std::string>& arguments,
                     const std::vector<MemoryFile>& files, const std::string& output,
                     const std::string& output_name) {
  std::vector<const char*> argv = {"ld.lld", "--threads=1", "--color-diagnostics=never", "-o",
                                   output.c_str()};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());

  const std::lock_guard lock(linker().mutex);
  if (!linker().can_run) {
    return error(DiagnosticKind::link_failed, {},
                 "cannot link `{}`: the linker stopped within an earlier link and cannot run again "
                 "in this process",
                 output_name);
  }
  // A thread for each link: LLD frees a part of its memory only when the thread that it ran in
  // ends.
  Outcome outcome;
  try {
    std::thread([&] { outcome = call_lld(argv); }).join();
  } catch (const std::system_error& e) {
    return error(DiagnosticKind::link_failed, {}, "cannot link `{}`: cannot start a thread: {}",
                 output_name, e.what());
  }
  linker().can_run = outcome.result.canRunAgain;
  if (outcome.result.retCode == 0 && outcome.result.canRunAgain) return {};
  remove_leftovers(output);
  return failure(std::move(outcome.text), outcome.result.retCode, files, output, output_name);
}

}  // namespace repose
