// What a person who waits for the compiler sees.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace repose::cli {

// While it lives and stderr is a terminal, says on its last line what this thread is at: `text` at
// once if `at_once`; and after ten seconds, every second, with the pass and the node of the model.
class Progress {
 public:
  explicit Progress(const std::string& text, bool at_once = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

// Clears that line, before something else is written to stderr.
void clear_progress();

}  // namespace repose::cli
