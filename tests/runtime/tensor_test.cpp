// The tensor contract: every clause of what a caller may and may not give.
#include <cstdint>
#include <numeric>

#include "fixture.h"

namespace repose::test {
namespace {

class TensorContract : public testing::Test {
 protected:
  void expect_refused(int32_t function, std::initializer_list<const DLTensor*> inputs,
                      const char* text, int32_t expected = REPOSE_REFUSED) {
    Result result;
    EXPECT_EQ(call(model_, function, inputs, &result), expected);
    EXPECT_EQ(result, nullptr);
    EXPECT_EQ(error_of(model_), text);
  }

  Model model_ = open_model(with_threads(2));
};

TEST_F(TensorContract, CompactWithAndWithoutStrides) {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  Result result;
  ASSERT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(values_of<float>(result), (std::vector<float>{2.5f, 4.5f, 6.5f, 8.5f, 10.5f, 12.5f}));
  x.set_strides({3, 1});
  ASSERT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(values_of<float>(result)[5], 12.5f);
}

TEST_F(TensorContract, ResultsAreComplete) {
  Tensor<float> x({2, 3});
  Result result;
  ASSERT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK);
  const DLTensor& y = result->dl_tensor;
  EXPECT_EQ(result->version.major, 1u);
  EXPECT_EQ(y.ndim, 2);
  EXPECT_EQ(y.shape[0], 2);
  EXPECT_EQ(y.shape[1], 3);
  EXPECT_EQ(y.strides[0], 3);
  EXPECT_EQ(y.strides[1], 1);
  EXPECT_EQ(y.dtype.code, kDLFloat);
  EXPECT_EQ(y.dtype.bits, 32);
  EXPECT_EQ(y.dtype.lanes, 1);
  EXPECT_EQ(y.device.device_type, kDLCPU);
  EXPECT_EQ(y.byte_offset, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(y.data) % 64, 0u);
}

TEST_F(TensorContract, OtherStridesAreRefused) {
  Tensor<float> x({2, 3}, std::vector<float>(12));
  x.set_strides({1, 2});
  expect_refused(kScale, {&x.dl}, "input `x`: strides are (1, 2), expected compact (3, 1)");
  x.set_strides({6, 1});
  expect_refused(kScale, {&x.dl}, "input `x`: strides are (6, 1), expected compact (3, 1)");
  x.set_strides({-3, 1});
  expect_refused(kScale, {&x.dl}, "input `x`: strides are (-3, 1), expected compact (3, 1)");
}

TEST_F(TensorContract, StridesOfExtents0And1DontCount) {
  Tensor<float> one({1, 3}, {1, 2, 3});
  one.set_strides({999, 1});
  Result result;
  EXPECT_EQ(call(model_, kScale, {&one.dl}, &result), REPOSE_OK) << error_of(model_);
  Tensor<float> column({3, 1}, {1, 2, 3});
  column.set_strides({1, -5});
  EXPECT_EQ(call(model_, kScale, {&column.dl}, &result), REPOSE_OK) << error_of(model_);
  Tensor<float> none({0, 3});
  none.set_strides({7, 9});
  EXPECT_EQ(call(model_, kScale, {&none.dl}, &result), REPOSE_OK) << error_of(model_);
}

TEST_F(TensorContract, DeclaredStrides) {
  Tensor<float> x({2, 2, 4}, std::vector<float>(128));
  std::iota(x.values.begin(), x.values.end(), 0.0f);
  x.set_strides({64, 4, 1});
  Result result;
  ASSERT_EQ(call(model_, kCache, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  const DLTensor& y = result->dl_tensor;
  EXPECT_EQ(y.strides[0], 64);
  EXPECT_EQ(y.strides[1], 4);
  EXPECT_EQ(static_cast<float*>(y.data)[64 + 7], 64.0f + 7 + 1);
  x.set_strides({8, 4, 1});
  expect_refused(kCache, {&x.dl}, "input `x`: strides are (8, 4, 1), expected (64, 4, 1)");
  x.dl.strides = nullptr;
  expect_refused(kCache, {&x.dl}, "input `x`: strides are compact, expected (64, 4, 1)");
}

TEST_F(TensorContract, Rank) {
  Tensor<float> x({6});
  expect_refused(kScale, {&x.dl}, "input `x`: rank is 1, expected 2");
}

TEST_F(TensorContract, Dtype) {
  Tensor<double> x({2, 3});
  expect_refused(kScale, {&x.dl}, "input `x`: dtype is float64, expected float32");
}

TEST_F(TensorContract, Lanes) {
  Tensor<float> x({2, 3});
  x.dl.dtype.lanes = 4;
  expect_refused(kScale, {&x.dl}, "input `x`: dtype is float32x4, expected float32");
}

TEST_F(TensorContract, Device) {
  Tensor<float> x({2, 3});
  x.dl.device = {kDLCUDA, 1};
  expect_refused(kScale, {&x.dl}, "input `x`: device is cuda:1, expected cpu");
}

TEST_F(TensorContract, NegativeDimension) {
  Tensor<float> x({2, 3});
  x.dims[1] = -3;
  expect_refused(kScale, {&x.dl}, "input `x`: dimension 1 is -3, expected at least 0");
}

TEST_F(TensorContract, HugeDimensions) {
  Tensor<float> x({2, 3});
  x.dims = {INT64_MAX, INT64_MAX};
  x.dl.shape = x.dims.data();
  expect_refused(kScale, {&x.dl}, "input `x`: its size does not fit in 64 bits", REPOSE_OVERFLOW);
  x.dims = {INT64_MAX, 0};
  x.dl.shape = x.dims.data();
  Result result;
  EXPECT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  x.dims = {int64_t{1} << 40, int64_t{1} << 20};
  x.dl.shape = x.dims.data();
  EXPECT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OUT_OF_MEMORY);
}

TEST_F(TensorContract, ByteOffset) {
  Tensor<float> x({1, 2}, {1, 2, 3, 4});
  x.dl.byte_offset = 8;
  Result result;
  ASSERT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK);
  EXPECT_EQ(values_of<float>(result), (std::vector<float>{6.5f, 8.5f}));
}

TEST_F(TensorContract, MisalignedToTheElement) {
  Tensor<float> x({1, 2}, {1, 2, 3, 4});
  x.dl.byte_offset = 2;
  expect_refused(kScale, {&x.dl}, "input `x`: its first element is 2 bytes off the alignment of 4");
  Tensor<float> ok({1, 2});
  Tensor<float> y({1, 2}, {1, 2, 3, 4});
  y.dl.data = reinterpret_cast<char*>(y.values.data()) + 1;
  EXPECT_EQ(call_into(model_, kScale, {&ok.dl}, &y.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: its first element is 1 bytes off the alignment of 4");
}

TEST_F(TensorContract, NullPointers) {
  Tensor<float> x({2, 3});
  x.dl.data = nullptr;
  expect_refused(kScale, {&x.dl}, "input `x`: its data is null", REPOSE_INVALID_ARGUMENT);
  x.dl.shape = nullptr;
  expect_refused(kScale, {&x.dl}, "input `x`: its shape is null", REPOSE_INVALID_ARGUMENT);
  expect_refused(kScale, {nullptr}, "input `x`: the tensor is null", REPOSE_INVALID_ARGUMENT);
}

TEST_F(TensorContract, Rank0) {
  Tensor<int64_t> x({}, {41});
  x.dl.shape = nullptr;
  Result result;
  ASSERT_EQ(call(model_, kScalar, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(values_of<int64_t>(result), std::vector<int64_t>{42});
}

TEST_F(TensorContract, ZeroExtents) {
  Tensor<float> x({0, 5});
  x.dl.data = nullptr;
  Result result;
  ASSERT_EQ(call(model_, kScale, {&x.dl}, &result), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(result->dl_tensor.shape[0], 0);
  EXPECT_EQ(result->dl_tensor.shape[1], 5);
  EXPECT_NE(result->dl_tensor.data, nullptr);
  Tensor<float> y({0, 5});
  y.dl.data = nullptr;
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &y.dl), REPOSE_OK) << error_of(model_);
}

TEST_F(TensorContract, GivenOutput) {
  Tensor<float> x({1, 2}, {1, 2}), y({1, 2});
  ASSERT_EQ(call_into(model_, kScale, {&x.dl}, &y.dl), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(y.values, (std::vector<float>{2.5f, 4.5f}));
  Tensor<float> wrong({1, 3});
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &wrong.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: dimension 1 is 3, expected `m` = 2");
  Tensor<double> other({1, 2});
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &other.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: dtype is float64, expected float32");
  Tensor<float> strided({2, 2}, std::vector<float>(8)), two({2, 2});
  strided.set_strides({4, 1});
  EXPECT_EQ(call_into(model_, kScale, {&two.dl}, &strided.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: strides are (4, 1), expected compact (2, 1)");
}

TEST_F(TensorContract, SomeOutputsGiven) {
  Tensor<uint8_t> flags({3}, {1, 0, 1});
  Tensor<uint8_t> flipped({3});
  const DLTensor* inputs[] = {&flags.dl};
  DLTensor* outputs[] = {nullptr, &flipped.dl};
  DLManagedTensorVersioned* results[] = {nullptr, reinterpret_cast<DLManagedTensorVersioned*>(8)};
  ASSERT_EQ(repose_call(model_.get(), kPair, inputs, 1, outputs, 2, results), REPOSE_OK);
  const Result sum(results[0]);
  EXPECT_EQ(values_of<int64_t>(sum), std::vector<int64_t>{2});
  EXPECT_EQ(results[1], nullptr);
  EXPECT_EQ(flipped.values, (std::vector<uint8_t>{0, 1, 0}));
  EXPECT_EQ(repose_call(model_.get(), kPair, inputs, 1, outputs, 2, nullptr),
            REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(error_of(model_), "results is null, and not every output tensor is given");
}

TEST_F(TensorContract, InputsMayOverlap) {
  Tensor<float> x({4}, {1, 2, 3, 4});
  Tensor<float> a({3}), b({3});
  a.dl.data = x.values.data();
  b.dl.data = x.values.data() + 1;
  Result result;
  ASSERT_EQ(call(model_, kAdd, {&a.dl, &b.dl}, &result), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(values_of<float>(result), (std::vector<float>{3, 5, 7}));
}

TEST_F(TensorContract, OutputOverInput) {
  Tensor<float> x({1, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  Tensor<float> y({1, 4});
  y.dl.data = x.values.data();
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &y.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: its memory overlaps input `x`");
  y.dl.data = x.values.data() + 3;
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &y.dl), REPOSE_REFUSED);
  y.dl.data = x.values.data() + 4;  // adjacent
  EXPECT_EQ(call_into(model_, kScale, {&x.dl}, &y.dl), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(x.values[7], 8.5f);
}

TEST_F(TensorContract, OutputOverOutput) {
  Tensor<uint8_t> flags({3}, {1, 0, 1});
  int64_t shared = 0;
  Tensor<int64_t> sum({});
  Tensor<uint8_t> flipped({3});
  sum.dl.data = &shared;
  flipped.dl.data = reinterpret_cast<uint8_t*>(&shared) + 5;
  const DLTensor* inputs[] = {&flags.dl};
  DLTensor* outputs[] = {&sum.dl, &flipped.dl};
  EXPECT_EQ(repose_call(model_.get(), kPair, inputs, 1, outputs, 2, nullptr), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `flipped`: its memory overlaps output `sum`");
}

TEST_F(TensorContract, DeclaredDonation) {
  Tensor<float> x({2, 2, 4}, std::vector<float>(129, 1.0f));
  x.set_strides({64, 4, 1});
  Tensor<float> y({2, 2, 4});
  y.dl.data = x.values.data();
  y.set_strides({64, 4, 1});
  ASSERT_EQ(call_into(model_, kCache, {&x.dl}, &y.dl), REPOSE_OK) << error_of(model_);
  EXPECT_EQ(x.values[64 + 7], 2.0f);
  y.dl.data = x.values.data() + 1;  // reuse means the same first element
  EXPECT_EQ(call_into(model_, kCache, {&x.dl}, &y.dl), REPOSE_REFUSED);
  EXPECT_EQ(error_of(model_), "output `y`: its memory overlaps input `x`");
}

TEST_F(TensorContract, ChecksOfGeneratedCode) {
  Tensor<float> a({16}), b({12});
  expect_refused(kAdd, {&a.dl, &b.dl},
                 "input `b`: dimension 0 is 12, expected `n` = 16 (from `a` dimension 0)");
}

}  // namespace
}  // namespace repose::test
