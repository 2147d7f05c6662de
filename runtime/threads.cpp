// Counts CPUs by affinity and control group (cgroup v2: cpu.max; v1: cpu.cfs_quota_us).
#include "threads.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

namespace repose::rt {
namespace {

constexpr int32_t kMaxThreads = 4096;
constexpr size_t kPathBytes = 4096;

// Reads at most bytes - 1 bytes; false if there is no such file.
bool read_file(const char* path, char* buffer, size_t bytes) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  size_t size = 0;
  while (size + 1 < bytes) {
    const ssize_t got = read(file, buffer + size, bytes - 1 - size);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  close(file);
  buffer[size] = 0;
  return true;
}

// The non-negative decimal number at `at`, which moves behind it; -1 if there is none.
int64_t read_number(const char*& at) {
  while (*at == ' ') ++at;
  if (*at < '0' || *at > '9') return -1;
  int64_t value = 0;
  for (; *at >= '0' && *at <= '9'; ++at) {
    if (value > INT64_MAX / 10 - 1) return -1;
    value = value * 10 + (*at - '0');
  }
  return value;
}

int32_t cpus(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return 0;
  const int64_t count = quota / period + (quota % period != 0);
  return static_cast<int32_t>(count < kMaxThreads ? count : kMaxThreads);
}

// The quota in one folder; 0: none there.
int32_t folder_quota(const char* folder) {
  char path[kPathBytes], text[128];
  Text(path, sizeof path) << folder << "/cpu.max";
  if (read_file(path, text, sizeof text)) {
    const char* at = text;
    const int64_t quota = read_number(at);
    return quota < 0 ? 0 : cpus(quota, read_number(at));
  }
  Text(path, sizeof path) << folder << "/cpu.cfs_quota_us";
  if (!read_file(path, text, sizeof text)) return 0;
  const char* at = text;
  const int64_t quota = read_number(at);
  Text(path, sizeof path) << folder << "/cpu.cfs_period_us";
  if (!read_file(path, text, sizeof text)) return 0;
  at = text;
  return cpus(quota, read_number(at));
}

// The least quota of base, base/a, base/a/b for the path /a/b; 0: none. Folders that this mount
// does not show (a container without a cgroup namespace) are passed over.
int32_t chain_quota(const char* base, const char* path, size_t path_bytes) {
  int32_t least = 0;
  for (size_t end = 0; end <= path_bytes; ++end) {
    if (end != 0 && end != path_bytes && path[end] != '/') continue;
    char folder[kPathBytes];
    Text text(folder, sizeof folder);
    text << base;
    text.append(path, end);
    const int32_t here = folder_quota(folder);
    if (here != 0 && (least == 0 || here < least)) least = here;
  }
  return least;
}

// Whether `list` ("cpu,cpuacct" up to `end`) names the controller "cpu".
bool names_cpu(const char* list, const char* end) {
  while (list < end) {
    const char* comma =
        static_cast<const char*>(memchr(list, ',', static_cast<size_t>(end - list)));
    const char* stop = comma == nullptr ? end : comma;
    if (stop - list == 3 && memcmp(list, "cpu", 3) == 0) return true;
    list = stop + 1;
  }
  return false;
}

}  // namespace

int32_t affinity_cpus() {
  // The kernel wants room for all CPUs that it could have.
  static constexpr size_t kWords = 1024;
  unsigned long mask[kWords] = {};
  if (sched_getaffinity(0, sizeof mask, reinterpret_cast<cpu_set_t*>(mask)) != 0) return 1;
  int32_t count = 0;
  for (unsigned long word : mask) {
    for (; word != 0; word &= word - 1) ++count;
  }
  return count > 0 ? count : 1;
}

int32_t quota_cpus(const char* cgroup_file, const char* root) {
  char groups[8192], base[kPathBytes];
  if (!read_file(cgroup_file, groups, sizeof groups)) return 0;
  int32_t least = 0;
  for (char* line = groups; *line != 0;) {  // "0::/path" or "4:cpu,cpuacct:/path"
    char* end = line + strcspn(line, "\n");
    char* next = *end == 0 ? end : end + 1;
    *end = 0;
    char* list = strchr(line, ':');
    char* path = list == nullptr ? nullptr : strchr(list + 1, ':');
    line = next;
    if (path == nullptr) continue;
    const bool unified = path == list + 1;
    if (!unified && !names_cpu(list + 1, path)) continue;
    Text(base, sizeof base) << root << (unified ? "" : "/cpu");
    ++path;
    const size_t bytes = strcmp(path, "/") == 0 ? 0 : strlen(path);
    const int32_t here = chain_quota(base, path, bytes);
    if (here != 0 && (least == 0 || here < least)) least = here;
  }
  return least;
}

int32_t default_num_threads() {
  if (const char* wanted = getenv("REPOSE_NUM_THREADS")) {
    const int64_t value = read_number(wanted);
    if (value > 0) return static_cast<int32_t>(value < kMaxThreads ? value : kMaxThreads);
  }
  const int32_t affinity = affinity_cpus();
  const int32_t quota = quota_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
  return quota != 0 && quota < affinity ? quota : affinity;
}

}  // namespace repose::rt
