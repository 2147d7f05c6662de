// Asks x86-64 processors for their features (cpuid), and the operating system for the registers
// that it saves (xgetbv). Other architectures accept everything.
#include "cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace repose::rt {

#if defined(__x86_64__)
namespace {

// Registers that a feature needs the operating system to save.
enum State : uint8_t { kNone, kYmm, kZmm, kTile };

enum Register : uint8_t { kEax, kEbx, kEcx, kEdx };

struct Feature {
  const char* name;
  uint32_t leaf, subleaf;
  Register reg;
  uint8_t bit;
  State state;
};

constexpr uint32_t kExtended = 0x80000000;

constexpr Feature kFeatures[] = {
    {"fpu", 1, 0, kEdx, 0, kNone},
    {"cx8", 1, 0, kEdx, 8, kNone},
    {"cmov", 1, 0, kEdx, 15, kNone},
    {"mmx", 1, 0, kEdx, 23, kNone},
    {"fxsr", 1, 0, kEdx, 24, kNone},
    {"sse", 1, 0, kEdx, 25, kNone},
    {"sse2", 1, 0, kEdx, 26, kNone},
    {"sse3", 1, 0, kEcx, 0, kNone},
    {"pclmul", 1, 0, kEcx, 1, kNone},
    {"ssse3", 1, 0, kEcx, 9, kNone},
    {"fma", 1, 0, kEcx, 12, kYmm},
    {"cx16", 1, 0, kEcx, 13, kNone},
    {"sse4.1", 1, 0, kEcx, 19, kNone},
    {"sse4.2", 1, 0, kEcx, 20, kNone},
    {"crc32", 1, 0, kEcx, 20, kNone},
    {"movbe", 1, 0, kEcx, 22, kNone},
    {"popcnt", 1, 0, kEcx, 23, kNone},
    {"aes", 1, 0, kEcx, 25, kNone},
    {"xsave", 1, 0, kEcx, 26, kYmm},
    {"avx", 1, 0, kEcx, 28, kYmm},
    {"f16c", 1, 0, kEcx, 29, kYmm},
    {"rdrnd", 1, 0, kEcx, 30, kNone},
    {"fsgsbase", 7, 0, kEbx, 0, kNone},
    {"bmi", 7, 0, kEbx, 3, kNone},
    {"avx2", 7, 0, kEbx, 5, kYmm},
    {"bmi2", 7, 0, kEbx, 8, kNone},
    {"avx512f", 7, 0, kEbx, 16, kZmm},
    {"evex512", 7, 0, kEbx, 16, kZmm},
    {"avx512dq", 7, 0, kEbx, 17, kZmm},
    {"rdseed", 7, 0, kEbx, 18, kNone},
    {"adx", 7, 0, kEbx, 19, kNone},
    {"avx512ifma", 7, 0, kEbx, 21, kZmm},
    {"clflushopt", 7, 0, kEbx, 23, kNone},
    {"clwb", 7, 0, kEbx, 24, kNone},
    {"avx512cd", 7, 0, kEbx, 28, kZmm},
    {"sha", 7, 0, kEbx, 29, kNone},
    {"avx512bw", 7, 0, kEbx, 30, kZmm},
    {"avx512vl", 7, 0, kEbx, 31, kZmm},
    {"avx512vbmi", 7, 0, kEcx, 1, kZmm},
    {"pku", 7, 0, kEcx, 4, kNone},
    {"waitpkg", 7, 0, kEcx, 5, kNone},
    {"avx512vbmi2", 7, 0, kEcx, 6, kZmm},
    {"shstk", 7, 0, kEcx, 7, kNone},
    {"gfni", 7, 0, kEcx, 8, kNone},
    {"vaes", 7, 0, kEcx, 9, kYmm},
    {"vpclmulqdq", 7, 0, kEcx, 10, kYmm},
    {"avx512vnni", 7, 0, kEcx, 11, kZmm},
    {"avx512bitalg", 7, 0, kEcx, 12, kZmm},
    {"avx512vpopcntdq", 7, 0, kEcx, 14, kZmm},
    {"rdpid", 7, 0, kEcx, 22, kNone},
    {"cldemote", 7, 0, kEcx, 25, kNone},
    {"movdiri", 7, 0, kEcx, 27, kNone},
    {"movdir64b", 7, 0, kEcx, 28, kNone},
    {"avx512vp2intersect", 7, 0, kEdx, 8, kZmm},
    {"serialize", 7, 0, kEdx, 14, kNone},
    {"amx-bf16", 7, 0, kEdx, 22, kTile},
    {"avx512fp16", 7, 0, kEdx, 23, kZmm},
    {"amx-tile", 7, 0, kEdx, 24, kTile},
    {"amx-int8", 7, 0, kEdx, 25, kTile},
    {"sha512", 7, 1, kEax, 0, kYmm},
    {"sm3", 7, 1, kEax, 1, kYmm},
    {"sm4", 7, 1, kEax, 2, kYmm},
    {"raoint", 7, 1, kEax, 3, kNone},
    {"avxvnni", 7, 1, kEax, 4, kYmm},
    {"avx512bf16", 7, 1, kEax, 5, kZmm},
    {"cmpccxadd", 7, 1, kEax, 7, kNone},
    {"amx-fp16", 7, 1, kEax, 21, kTile},
    {"avxifma", 7, 1, kEax, 23, kYmm},
    {"avxvnniint8", 7, 1, kEdx, 4, kYmm},
    {"avxneconvert", 7, 1, kEdx, 5, kYmm},
    {"amx-complex", 7, 1, kEdx, 8, kTile},
    {"avxvnniint16", 7, 1, kEdx, 10, kYmm},
    {"prefetchi", 7, 1, kEdx, 14, kNone},
    {"xsaveopt", 13, 1, kEax, 0, kYmm},
    {"xsavec", 13, 1, kEax, 1, kYmm},
    {"xsaves", 13, 1, kEax, 3, kYmm},
    {"ptwrite", 20, 0, kEbx, 4, kNone},
    {"sahf", kExtended + 1, 0, kEcx, 0, kNone},
    {"lzcnt", kExtended + 1, 0, kEcx, 5, kNone},
    {"sse4a", kExtended + 1, 0, kEcx, 6, kNone},
    {"prfchw", kExtended + 1, 0, kEcx, 8, kNone},
    {"xop", kExtended + 1, 0, kEcx, 11, kYmm},
    {"fma4", kExtended + 1, 0, kEcx, 16, kYmm},
    {"tbm", kExtended + 1, 0, kEcx, 21, kNone},
    {"mwaitx", kExtended + 1, 0, kEcx, 29, kNone},
    {"64bit", kExtended + 1, 0, kEdx, 29, kNone},
    {"clzero", kExtended + 8, 0, kEbx, 0, kNone},
    {"rdpru", kExtended + 8, 0, kEbx, 4, kNone},
    {"wbnoinvd", kExtended + 8, 0, kEbx, 9, kNone},
};

uint32_t read_register(uint32_t leaf, uint32_t subleaf, Register reg) {
  uint32_t values[4] = {};
  if (!__get_cpuid_count(leaf, subleaf, &values[0], &values[1], &values[2], &values[3])) return 0;
  return values[reg];
}

// Whether the system saves these registers when it switches threads.
bool saves(State state) {
  if (state == kNone) return true;
  if ((read_register(1, 0, kEcx) >> 27 & 1) == 0) return false;  // osxsave: xgetbv may be used
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const uint32_t needed = state == kYmm ? 0x6 : state == kZmm ? 0xE6 : 0x60000;
  return (low & needed) == needed;
}

bool supports(const char* name) {
  for (const Feature& feature : kFeatures) {
    if (strcmp(feature.name, name) != 0) continue;
    const uint32_t bits = read_register(feature.leaf, feature.subleaf, feature.reg);
    return (bits >> feature.bit & 1) != 0 && saves(feature.state);
  }
  return false;
}

}  // namespace

const char* missing_cpu_feature(const char* const* features) {
  for (; features != nullptr && *features != nullptr; ++features) {
    if (!supports(*features)) return *features;
  }
  return nullptr;
}

#else

const char* missing_cpu_feature(const char* const*) {
  return nullptr;
}

#endif

}  // namespace repose::rt
