// The line that says what the compiler is at.
#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/work.h"

namespace repose::cli {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds patience{10};

// Cut where the terminal ends: a line that wraps could not be written over.
void show(const std::string& text) {
  winsize size{};
  const bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  size_t end = std::min<size_t>(text.size(), is_known ? size.ws_col - 1u : 79);
  while (end < text.size() && end > 0 && (text[end] & '\xc0') == '\x80') --end;  // UTF-8
  std::fprintf(stderr, "\r%.*s\x1b[K\r", static_cast<int>(end), text.c_str());
}

}  // namespace

Progress::Progress(const std::string& text, bool at_once) {
  if (!isatty(STDERR_FILENO)) return;
  if (at_once) show(text + " …");
  thread_ = std::thread([this, text, begin = Clock::now(), work = work_of_this_thread()] {
    std::unique_lock lock(mutex_);
    for (auto next = begin + patience; !wake_.wait_until(lock, next, [&] { return ended_; });
         next += seconds(1)) {
      const auto passed = std::chrono::duration_cast<seconds>(Clock::now() - begin).count();
      const std::string at = work();
      show(text + " (" + std::to_string(passed) + " s)" + (at.empty() ? " …" : ": " + at));
    }
  });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
  clear_progress();
}

void clear_progress() {
  if (isatty(STDERR_FILENO)) std::fputs("\r\x1b[K", stderr);
}

}  // namespace repose::cli
