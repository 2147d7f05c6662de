// A file that appears under its name whole or not at all: a new file beside it, and rename(2).
#include "codegen/llvm/link_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace repose {
namespace {

constexpr size_t max_write_bytes = size_t{1} << 30;  // Linux writes at most 2 GiB - 4096 at once

Diagnostic cannot_write_diagnostic(const std::string& path, int error_number) {
  return error(DiagnosticKind::cannot_write, {}, "cannot write `{}`: {}", path,
               std::strerror(error_number));
}

// Each name once in this process, as several threads may write the same path.
std::string new_aside_path(const std::string& path) {
  static std::atomic<unsigned> count = 0;
  return fmt::format("{}.tmp.{}.{}", path, ::getpid(), count++);
}

}  // namespace

Result<std::string> output_target(const std::string& path) {
  constexpr int max_links = 40;  // as the system follows
  std::filesystem::path target = path;
  struct stat status;
  for (int i = 0; i < max_links; ++i) {
    if (::lstat(target.c_str(), &status) != 0) {
      if (errno == ENOENT) return target.string();
      return cannot_write_diagnostic(path, errno);
    }
    if (S_ISREG(status.st_mode)) return target.string();
    if (S_ISDIR(status.st_mode)) return cannot_write_diagnostic(path, EISDIR);
    if (!S_ISLNK(status.st_mode)) {
      return error(DiagnosticKind::cannot_write, {}, "cannot write `{}`: it is no regular file",
                   path);
    }
    std::error_code failure;
    const std::filesystem::path next = std::filesystem::read_symlink(target, failure);
    if (failure) return cannot_write_diagnostic(path, failure.value());
    target = target.parent_path() / next;
  }
  return cannot_write_diagnostic(path, ELOOP);
}

Result<OutputFile> OutputFile::create(const std::string& given_path) {
  REPOSE_TRY(path, output_target(given_path));
  for (;;) {
    const std::string aside_path = new_aside_path(path);
    const int descriptor = ::open(aside_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor >= 0) return OutputFile(path, aside_path, descriptor);
    if (errno != EEXIST) return cannot_write_diagnostic(path, errno);
  }
}

OutputFile::OutputFile(std::string path, std::string aside_path, int descriptor)
    : path_(std::move(path)), aside_path_(std::move(aside_path)), descriptor_(descriptor) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      aside_path_(std::exchange(other.aside_path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!aside_path_.empty()) ::unlink(aside_path_.c_str());
}

Diagnostic OutputFile::cannot_write(int error_number) const {
  return cannot_write_diagnostic(path_, error_number);
}

Result<void> OutputFile::reopen() {
  ::close(std::exchange(descriptor_, -1));
  descriptor_ = ::open(aside_path_.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0) return cannot_write(errno);
  return {};
}

Result<std::string> OutputFile::read_all() const {
  struct stat status;
  if (::fstat(descriptor_, &status) != 0) return cannot_write(errno);
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t count =
        ::pread(descriptor_, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return cannot_write(count < 0 ? errno : EIO);
    at += static_cast<size_t>(count);
  }
  return bytes;
}

Result<void> OutputFile::write_at(uint64_t offset, const void* data, uint64_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t count = ::pwrite(descriptor_, next, std::min<uint64_t>(bytes, max_write_bytes),
                                   static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return cannot_write(count < 0 ? errno : EIO);
    next += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> OutputFile::resize(uint64_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) return cannot_write(errno);
  return {};
}

Result<void> OutputFile::commit(unsigned mode) {
  if (::fchmod(descriptor_, mode) != 0) return cannot_write(errno);
  // Some file systems report a failed write only here.
  if (::close(std::exchange(descriptor_, -1)) != 0) return cannot_write(errno);
  if (::rename(aside_path_.c_str(), path_.c_str()) != 0) return cannot_write(errno);
  aside_path_.clear();
  return {};
}

}  // namespace repose
