// Measures the machine: the peak of float32 multiply–add, and the bandwidth of reading.
#include "roofline.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <charconv>
#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace repose::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double window_seconds = 0.12;
constexpr int windows = 3;  // the best counts: what else the machine does only takes away
constexpr int64_t steps = 1 << 16;
constexpr int accumulators = 12;  // hide the latency of two units; fit in 16 registers

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

volatile float sink;  // nothing that is computed may be left out

// A piece of work that is done again and again, and how much it is.
using Piece = std::function<double(int thread)>;

// Work per second of all threads together.
double rate(int threads, const Piece& piece) {
  double best = 0;
  for (int w = 0; w < windows; ++w) {
    std::vector<double> rates(static_cast<size_t>(threads));
    std::barrier start(threads);
    auto run = [&](int thread) {
      piece(thread);  // the processor reaches its speed, pages are there
      start.arrive_and_wait();
      const auto begin = Clock::now();
      double done = 0, passed = 0;
      while (passed < window_seconds) {
        done += piece(thread);
        passed = seconds_since(begin);
      }
      rates[static_cast<size_t>(thread)] = done / passed;
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(run, t);
    run(0);
    for (std::thread& t : others) t.join();
    double sum = 0;
    for (double r : rates) sum += r;
    best = std::max(best, sum);
  }
  return best;
}

// Each accumulator begins with another value: equal ones would be computed once.
constexpr float first_value(int accumulator) {
  return 1.0f + 0.01f * static_cast<float>(accumulator);
}

#if defined(__x86_64__)

__attribute__((target("avx512f"))) double multiply_add_512() {
  __m512 acc[accumulators];
  const __m512 x = _mm512_set1_ps(0.9999999f), y = _mm512_set1_ps(1e-7f);
#pragma GCC unroll 12
  for (int i = 0; i < accumulators; ++i) acc[i] = _mm512_set1_ps(first_value(i));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m512& a : acc) a = _mm512_fmadd_ps(a, x, y);
  }
#pragma GCC unroll 12
  for (int i = 1; i < accumulators; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  sink = _mm512_cvtss_f32(acc[0]);
  return 2.0 * 16 * accumulators * steps;
}

__attribute__((target("avx2,fma"))) double multiply_add_256() {
  __m256 acc[accumulators];
  const __m256 x = _mm256_set1_ps(0.9999999f), y = _mm256_set1_ps(1e-7f);
#pragma GCC unroll 12
  for (int i = 0; i < accumulators; ++i) acc[i] = _mm256_set1_ps(first_value(i));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m256& a : acc) a = _mm256_fmadd_ps(a, x, y);
  }
#pragma GCC unroll 12
  for (int i = 1; i < accumulators; ++i) acc[0] = _mm256_add_ps(acc[0], acc[i]);
  sink = _mm256_cvtss_f32(acc[0]);
  return 2.0 * 8 * accumulators * steps;
}

// Without fused multiply–add: as many multiplications as additions, apart from each other.
double multiply_add_128() {
  constexpr int half = accumulators / 2;
  __m128 products[half], sums[half];
  const __m128 x = _mm_set1_ps(0.9999999f), y = _mm_set1_ps(1e-7f);
#pragma GCC unroll 6
  for (int i = 0; i < half; ++i) products[i] = sums[i] = _mm_set1_ps(first_value(i));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 6
    for (int k = 0; k < half; ++k) {
      products[k] = _mm_mul_ps(products[k], x);
      sums[k] = _mm_add_ps(sums[k], y);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < half; ++i) sums[0] = _mm_add_ps(sums[0], products[i]);
  sink = _mm_cvtss_f32(sums[0]);
  return 4.0 * accumulators * steps;
}

__attribute__((target("avx512f"))) void read_512(const float* p, size_t n) {
  __m512 sums[8];
#pragma GCC unroll 8
  for (__m512& s : sums) s = _mm512_setzero_ps();
  for (size_t i = 0; i + 128 <= n; i += 128) {
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) {
      sums[j] = _mm512_add_ps(sums[j], _mm512_loadu_ps(p + i + j * 16));
    }
  }
#pragma GCC unroll 8
  for (size_t j = 1; j < 8; ++j) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  sink = _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2"))) void read_256(const float* p, size_t n) {
  __m256 sums[8];
#pragma GCC unroll 8
  for (__m256& s : sums) s = _mm256_setzero_ps();
  for (size_t i = 0; i + 64 <= n; i += 64) {
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) {
      sums[j] = _mm256_add_ps(sums[j], _mm256_loadu_ps(p + i + j * 8));
    }
  }
#pragma GCC unroll 8
  for (size_t j = 1; j < 8; ++j) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  sink = _mm256_cvtss_f32(sums[0]);
}

void read_128(const float* p, size_t n) {
  __m128 sums[8];
#pragma GCC unroll 8
  for (__m128& s : sums) s = _mm_setzero_ps();
  for (size_t i = 0; i + 32 <= n; i += 32) {
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; ++j) sums[j] = _mm_add_ps(sums[j], _mm_loadu_ps(p + i + j * 4));
  }
#pragma GCC unroll 8
  for (size_t j = 1; j < 8; ++j) sums[0] = _mm_add_ps(sums[0], sums[j]);
  sink = _mm_cvtss_f32(sums[0]);
}

double multiply_add() {
  if (__builtin_cpu_supports("avx512f")) return multiply_add_512();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return multiply_add_256();
  return multiply_add_128();
}

void read(const float* p, size_t n) {
  if (__builtin_cpu_supports("avx512f")) return read_512(p, n);
  if (__builtin_cpu_supports("avx2")) return read_256(p, n);
  read_128(p, n);
}

#endif

// More than all caches hold.
size_t bytes_beyond_caches() {
  const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const size_t wanted = l3 > 0 ? 4 * static_cast<size_t>(l3) : 0;
  return std::clamp<size_t>(wanted, size_t{256} << 20, size_t{2} << 30);
}

double measure_reading(int threads) {
  const size_t each = bytes_beyond_caches() / sizeof(float) / static_cast<size_t>(threads);
  std::vector<std::vector<float>> memory(static_cast<size_t>(threads));
  return rate(threads, [&](int thread) {
    std::vector<float>& own = memory[static_cast<size_t>(thread)];
    if (own.empty()) own.assign(each, 1.0f);  // by the thread that reads it
    // In parts: a window is short.
    constexpr size_t part = size_t{8} << 20;
    static thread_local size_t at = 0;
    if (at >= own.size()) at = 0;
    const size_t n = std::min(part, own.size() - at);
    read(own.data() + at, n);
    at += n;
    return static_cast<double>(n * sizeof(float));
  });
}

// The value of a line "key : value" of a file of the system.
std::string line_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace

Limits measure_limits(int threads) {
  Limits limits;
  limits.threads = threads;
  limits.gflops = rate(threads, [](int) { return multiply_add(); }) / 1e9;
  limits.read_gbps = measure_reading(threads) / 1e9;
  return limits;
}

Result<Limits> parse_limits(const std::string& text, int threads) {
  Limits limits;
  limits.threads = threads;
  const size_t comma = std::min(text.find(','), text.size());
  auto parse = [](std::string_view number, double* value) {
    auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), *value);
    return status == std::errc() && end == number.data() + number.size() && *value > 0 &&
           *value < 1e9;
  };
  const std::string_view all = text;
  if (comma < text.size() && parse(all.substr(0, comma), &limits.gflops) &&
      parse(all.substr(comma + 1), &limits.read_gbps)) {
    return limits;
  }
  return error(DiagnosticKind::bad_usage, {},
               "--limits `{}`: expected GFLOPS,GBPS: two numbers above 0", text);
}

double least_seconds(const Limits& limits, double flops, double bytes) {
  return std::max(flops / limits.gflops, bytes / limits.read_gbps) / 1e9;
}

Machine this_machine() {
  Machine m;
  m.cpu = line_of("/proc/cpuinfo", "model name");
  const std::vector<std::string> known = {"sse4_2",   "avx",         "avx2",        "fma",
                                          "f16c",     "avx512f",     "avx512bw",    "avx512vl",
                                          "avx512dq", "avx512_vnni", "avx512_bf16", "amx_tile"};
  std::istringstream flags(line_of("/proc/cpuinfo", "flags"));
  for (std::string flag; flags >> flag;) {
    if (std::find(known.begin(), known.end(), flag) != known.end()) m.flags.push_back(flag);
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) m.cpus = CPU_COUNT(&set);
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0)
    m.memory_gb = static_cast<double>(pages) * static_cast<double>(page) / 1e9;
  utsname system{};
  if (uname(&system) == 0) m.system = std::string(system.sysname) + " " + system.release;
  return m;
}

}  // namespace repose::cli
