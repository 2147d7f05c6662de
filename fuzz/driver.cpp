// Runs a fuzz target (LLVMFuzzerTestOneInput) on mutated seeds without libFuzzer: any compiler, any
// sanitizer, and always the same inputs.
//
//   mutate_<target> SEED FOLDER [RUNS [SEED NUMBER [FIRST]]]
//
// Input i depends on the seed files, the seed number and i alone. The inputs run in a child
// process; where that dies, hangs (20 s without progress), takes more than a second of the
// processor or has more than 64 MiB and 4 times the input's size on the heap at once, the input is
// written to found-<target>-<i> in the current folder, and the exit code is 1. FIRST continues
// from an input, to run one again: mutate_x SEEDS 1 1 4711.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t max_input_bytes = size_t{1} << 16;
constexpr int hang_seconds = 20;
constexpr double max_seconds = 1;
constexpr size_t max_heap_bytes = size_t{64} << 20;  // and 4 times the input's size

// What `new` gave and `delete` has not taken back; the most of it since an input began.
std::atomic<size_t> heap_bytes{0}, most_heap_bytes{0};

void note_allocation(size_t size) {
  const size_t now = heap_bytes += size;
  size_t most = most_heap_bytes;
  while (now > most && !most_heap_bytes.compare_exchange_weak(most, now)) {
  }
}

}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  void* memory = std::malloc(size);
  if (memory) note_allocation(malloc_usable_size(memory));
  return memory;
}
void* operator new(size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept {
  if (memory) heap_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  operator delete(memory);
}

namespace {

std::vector<std::string> read_seeds(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code ec;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, ec)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& seeds, uint64_t number, uint64_t i)
      : seeds_(seeds), random_(number * 0x9E3779B97F4A7C15 + i) {}

  std::string make() {
    std::string input = seeds_[below(seeds_.size())];
    // Half of the inputs keep every length, so that formats with length prefixes get further.
    const bool in_place = below(2);
    for (size_t left = 1 + below(below(2) ? 6 : 1); left > 0; --left) {
      if (in_place) {
        overwrite(input);
      } else {
        mutate(input);
      }
    }
    if (input.size() > max_input_bytes) input.resize(max_input_bytes);
    return input;
  }

 private:
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
  // A part of a text of `size` bytes, mostly a short one.
  std::pair<size_t, size_t> part(size_t size) {
    const size_t begin = below(size + 1);
    const size_t longest = below(4) == 0 ? size : std::min<size_t>(size, 16);
    return {begin, std::min(below(longest + 1), size - begin)};
  }

  char byte() {
    static const unsigned char limits[] = {0, 1, 0x7f, 0x80, 0xff, '(', ')', '"', ' ', '\n'};
    return static_cast<char>(below(2) ? limits[below(std::size(limits))] : below(256));
  }

  void overwrite(std::string& s) {
    if (s.empty()) return;
    const size_t at = below(s.size());
    switch (below(5)) {
      case 0:
        s[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        s[at] = byte();
        break;
      case 2:
        s[at] = static_cast<char>(s[at] + (below(2) ? 1 : -1));
        break;
      case 3:
        s[at] = s[below(s.size())];
        break;
      case 4: {  // as much of another seed or place
        const std::string& other = below(2) ? s : seeds_[below(seeds_.size())];
        auto [from, count] = part(other.size());
        count = std::min(count, s.size() - at);
        s.replace(at, count, std::string(other, from, count));
        break;
      }
    }
  }

  void mutate(std::string& s) {
    static const std::string numbers[] = {"0",
                                          "-1",
                                          "1",
                                          "2147483648",
                                          "9223372036854775807",
                                          "-9223372036854775808",
                                          "18446744073709551616",
                                          "1e308",
                                          "0.5",
                                          "inf",
                                          "nan"};
    const auto [begin, count] = part(s.size());
    switch (below(10)) {
      case 0:  // one bit
        if (!s.empty()) s[below(s.size())] ^= static_cast<char>(1 << below(8));
        break;
      case 1:  // one byte, often one at a limit
        if (!s.empty()) s[below(s.size())] = byte();
        break;
      case 2:
        s.erase(begin, count);
        break;
      case 3:
        s.insert(below(s.size() + 1), s.substr(begin, count));
        break;
      case 4:
        s.resize(begin);
        break;
      case 5: {  // random bytes
        std::string noise;
        for (size_t i = 1 + below(8); i > 0; --i) noise += static_cast<char>(below(256));
        s.insert(begin, noise);
        break;
      }
      case 6: {  // a piece of another seed
        const std::string& other = seeds_[below(seeds_.size())];
        const auto [from, length] = part(other.size());
        s.insert(begin, other.substr(from, length));
        break;
      }
      case 7: {  // the end of another seed
        const std::string& other = seeds_[below(seeds_.size())];
        s = s.substr(0, begin) + other.substr(below(other.size() + 1));
        break;
      }
      case 8:
        replace_number(s, numbers[below(std::size(numbers))]);
        break;
      case 9:
        exchange_lines(s);
        break;
    }
  }

  void replace_number(std::string& s, const std::string& number) {
    const size_t begin = s.find_first_of("0123456789", below(s.size() + 1));
    if (begin == std::string::npos) return;
    const size_t end = std::min(s.find_first_not_of("0123456789", begin), s.size());
    s.replace(begin, end - begin, number);
  }

  // Moves a line elsewhere, or repeats it.
  void exchange_lines(std::string& s) {
    const size_t begin = s.find('\n', below(s.size() + 1));
    if (begin == std::string::npos) return;
    const std::string line = s.substr(begin, std::min(s.find('\n', begin + 1), s.size()) - begin);
    if (below(2)) s.erase(begin, line.size());
    const size_t place = s.find('\n', below(s.size() + 1));
    if (place != std::string::npos) s.insert(place, line);
  }

  const std::vector<std::string>& seeds_;
  std::mt19937_64 random_;
};

struct Shared {
  std::atomic<uint64_t> current;
};

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// One input in memory of its own, so that reading behind its end is seen.
void run_input(const std::string& input) {
  std::vector<uint8_t> bytes(input.begin(), input.end());
  bytes.shrink_to_fit();
  const size_t heap_before = heap_bytes;
  const double start = processor_seconds();
  most_heap_bytes = heap_before;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  const double seconds = processor_seconds() - start;
  const size_t heap = most_heap_bytes - heap_before;
  if (seconds > max_seconds) {
    std::fprintf(stderr, "takes %.1f s\n", seconds);
    std::abort();
  }
  if (heap > max_heap_bytes + 4 * input.size()) {
    std::fprintf(stderr, "takes %zu bytes of memory\n", heap);
    std::abort();
  }
}

// In the child: every input from *shared on; ends the process.
[[noreturn]] void run_inputs(const std::vector<std::string>& seeds, uint64_t number, uint64_t end,
                             Shared* shared) {
  for (uint64_t i = shared->current; i < end; shared->current = ++i) {
    run_input(Mutator(seeds, number, i).make());
  }
  std::exit(0);  // leaks are reported here
}

// True if the child ended well. Kills it where it hangs.
bool wait_for(pid_t child, const Shared* shared) {
  using Clock = std::chrono::steady_clock;
  uint64_t seen = ~uint64_t{0};
  Clock::time_point since = Clock::now();
  while (true) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      if (WIFSIGNALED(status)) std::fprintf(stderr, "signal %d\n", WTERMSIG(status));
      return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    if (shared->current != seen) {
      seen = shared->current;
      since = Clock::now();
    } else if (Clock::now() - since > std::chrono::seconds(hang_seconds)) {
      std::fprintf(stderr, "no progress for %d s\n", hang_seconds);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s SEED_FOLDER [RUNS [SEED_NUMBER [FIRST]]]\n", argv[0]);
    return 2;
  }
  const uint64_t runs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10000;
  const uint64_t number = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const uint64_t first = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0;
  std::vector<std::string> seeds = read_seeds(argv[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", argv[1]);
    return 2;
  }
  for (const std::string& seed : seeds) {  // as they are
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(seed.data()), seed.size());
  }
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  Shared* shared = new (memory) Shared{first};
  const std::string target = std::filesystem::path(argv[0]).filename();
  int found = 0;
  while (shared->current < first + runs && found < 10) {
    const pid_t child = fork();
    if (child < 0) return 2;
    if (child == 0) run_inputs(seeds, number, first + runs, shared);
    if (wait_for(child, shared)) break;
    const uint64_t i = shared->current;
    if (i >= first + runs) {  // what is wrong shows at the end, as leaks do
      ++found;
      break;
    }
    const std::string path = "found-" + target + "-" + std::to_string(i);
    const std::string input = Mutator(seeds, number, i).make();
    std::ofstream(path, std::ios::binary)
        .write(input.data(), static_cast<std::streamsize>(input.size()));
    std::fprintf(stderr, "%s: input %llu fails; it is in %s\n", target.c_str(),
                 static_cast<unsigned long long>(i), path.c_str());
    ++found;
    shared->current = i + 1;
  }
  std::printf("%s: %zu seeds, %llu inputs, %d failed\n", target.c_str(), seeds.size(),
              static_cast<unsigned long long>(runs), found);
  return found == 0 ? 0 : 1;
}
