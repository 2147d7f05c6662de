// Maps files with mmap.
#include "frontend/common/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "frontend/common/names.h"

namespace repose::frontend {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path,
                                                           const Span& span) {
  auto cannot_read = [&](const char* why) {
    return error(DiagnosticKind::cannot_read, span, "cannot read `{}`: {}", printable(path), why);
  };
  if (path.find('\0') != std::string::npos) return cannot_read("the name has a zero byte");
  // Without O_NONBLOCK, opening a named pipe would wait for its writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status = {};
  if (file.fd < 0 || fstat(file.fd, &status) != 0) return cannot_read(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return cannot_read("it is not a regular file");
  size_t size = static_cast<size_t>(status.st_size);
  const std::byte* data = nullptr;
  if (size > 0) {
    void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (mapping == MAP_FAILED) return cannot_read(std::strerror(errno));
    data = static_cast<const std::byte*>(mapping);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::expect_jumps(bool jumps) const {
  if (size_ > 0) {
    madvise(const_cast<std::byte*>(data_), size_, jumps ? MADV_RANDOM : MADV_NORMAL);
  }
}

}  // namespace repose::frontend
