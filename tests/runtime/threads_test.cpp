// Counting CPUs: control groups of both versions, affinity, the environment; features of the CPU.
#include "threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "cpu.h"

namespace repose::rt {
namespace {

namespace fs = std::filesystem;

class Quota : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/repose-quota-XXXXXX";
    root_ = mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  int32_t quota() { return quota_cpus((root_ / "cgroup").c_str(), root_.c_str()); }

  fs::path root_;
};

TEST_F(Quota, NoneWithoutFiles) {
  EXPECT_EQ(quota(), 0);
}

TEST_F(Quota, Version2RoundsUp) {
  write("cgroup", "0::/a/b\n");
  write("a/b/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(Quota, Version2TakesTheLeastOfTheAncestors) {
  write("cgroup", "0::/a/b\n");
  write("a/b/cpu.max", "400000 100000\n");
  write("a/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(Quota, Version2Unlimited) {
  write("cgroup", "0::/\n");
  write("cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(Quota, Version2OfAContainerWithoutItsOwnView) {
  write("cgroup", "0::/not/shown/here\n");
  write("cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(Quota, Version1) {
  write("cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/x\n3:cpuset:/y\n");
  write("cpu/docker/x/cpu.cfs_quota_us", "250000\n");
  write("cpu/docker/x/cpu.cfs_period_us", "100000\n");
  write("cpu/y/cpu.cfs_quota_us", "100000\n");  // another controller's group
  write("cpu/y/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(Quota, Version1Unlimited) {
  write("cgroup", "4:cpuacct,cpu:/x\n");
  write("cpu/x/cpu.cfs_quota_us", "-1\n");
  write("cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(Quota, NonsenseIsNone) {
  write("cgroup", "0::/\nnonsense\n:\n7:\n");
  write("cpu.max", "123456789012345678901234567890 5\n");
  EXPECT_EQ(quota(), 0);
  write("cpu.max", "100000 0\n");
  EXPECT_EQ(quota(), 0);
}

TEST(Threads, AffinityCounts) {
  std::thread([] {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    EXPECT_EQ(affinity_cpus(), CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    int first = 0;
    while (!CPU_ISSET(first, &before)) ++first;
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(affinity_cpus(), 1);
  }).join();
}

TEST(Threads, EnvironmentGoesFirst) {
  setenv("REPOSE_NUM_THREADS", "7", 1);
  EXPECT_EQ(default_num_threads(), 7);
  setenv("REPOSE_NUM_THREADS", "zero", 1);
  EXPECT_GE(default_num_threads(), 1);
  EXPECT_LE(default_num_threads(), affinity_cpus());
  unsetenv("REPOSE_NUM_THREADS");
}

TEST(Cpu, NamesTheFirstMissingFeature) {
  EXPECT_EQ(missing_cpu_feature(nullptr), nullptr);
#if defined(__x86_64__)
  const char* const base[] = {"sse2", "cx8", "64bit", nullptr};
  EXPECT_EQ(missing_cpu_feature(base), nullptr);
  const char* const unknown[] = {"sse2", "warp-drive", "more", nullptr};
  EXPECT_STREQ(missing_cpu_feature(unknown), "warp-drive");
  // The compiler's own test agrees where it has one.
  const char* const avx2[] = {"avx2", nullptr};
  EXPECT_EQ(missing_cpu_feature(avx2) == nullptr, __builtin_cpu_supports("avx2") != 0);
  const char* const avx512f[] = {"avx512f", nullptr};
  EXPECT_EQ(missing_cpu_feature(avx512f) == nullptr, __builtin_cpu_supports("avx512f") != 0);
  const char* const vnni[] = {"avx512vnni", nullptr};
  EXPECT_EQ(missing_cpu_feature(vnni) == nullptr, __builtin_cpu_supports("avx512vnni") != 0);
#endif
}

}  // namespace
}  // namespace repose::rt
