// Checked access to the fields of one protobuf message, over protozero. Private to this folder.
//
// protozero asserts that a field is read with its own wire type, truncates lengths to 32 bits and
// throws; Fields checks the first two and turns everything into WireError, which reader.cpp and
// tensor_data.cpp catch: no exception leaves them.
#pragma once

#include <cstring>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/diagnostic.h"

namespace repose::onnx {

struct WireError {
  DiagnosticKind kind;
  std::string text;
  const char* at;  // in the bytes that are read
};

class Fields {
 public:
  explicit Fields(std::string_view message)
      : reader_(message.data(), message.size()), at_(message.data()) {}

  // Moves to the next field. The one before must have been consumed: by an accessor or by skip().
  bool next() {
    at_ = reader_.data().data();
    bool more = guarded([&] { return reader_.next(); });
    if (!more) return false;
    number_ = static_cast<int>(reader_.tag());
    wire_type_ = reader_.wire_type();
    if (wire_type_ == protozero::pbf_wire_type::length_delimited) check_length();
    return true;
  }
  int number() const { return number_; }
  void skip() {
    guarded([&] { reader_.skip(); });
  }

  // A field that may appear once; `name` is the field's name for messages.
  int64_t integer(const char* name) {
    once(name);
    expect(protozero::pbf_wire_type::varint, name);
    return guarded([&] { return reader_.get_int64(); });
  }
  float number32(const char* name) {
    once(name);
    expect(protozero::pbf_wire_type::fixed32, name);
    return guarded([&] { return reader_.get_float(); });
  }
  std::string_view bytes(const char* name) {
    once(name);
    return each_bytes(name);
  }

  // One occurrence of a repeated field.
  std::string_view each_bytes(const char* name) {
    expect(protozero::pbf_wire_type::length_delimited, name);
    protozero::data_view view = guarded([&] { return reader_.get_view(); });
    return {view.data(), view.size()};
  }
  // One occurrence of a repeated field of integers, packed or not: calls `take(int64_t)` for each.
  template <class Take>
  void each_integer(const char* name, Take take) {
    if (wire_type_ != protozero::pbf_wire_type::length_delimited) {
      expect(protozero::pbf_wire_type::varint, name);
      return take(guarded([&] { return reader_.get_int64(); }));
    }
    std::string_view packed = each_bytes(name);
    const char* data = packed.data();
    const char* end = data + packed.size();
    while (data != end) {
      take(static_cast<int64_t>(guarded([&] { return protozero::decode_varint(&data, end); })));
    }
  }
  // The same for float and double.
  template <class T, class Take>
  void each_number(const char* name, Take take) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    if (wire_type_ != protozero::pbf_wire_type::length_delimited) {
      expect(sizeof(T) == 4 ? protozero::pbf_wire_type::fixed32 : protozero::pbf_wire_type::fixed64,
             name);
      return take(guarded([&]() -> T {
        if constexpr (sizeof(T) == 4)
          return reader_.get_float();
        else
          return reader_.get_double();
      }));
    }
    std::string_view packed = each_bytes(name);
    if (packed.size() % sizeof(T) != 0) {
      fail("field `{}` has {} bytes, which is no multiple of {}", name, packed.size(), sizeof(T));
    }
    for (size_t i = 0; i < packed.size(); i += sizeof(T)) {
      T value;
      std::memcpy(&value, packed.data() + i, sizeof(T));
      take(value);
    }
  }

  // Refuses a second occurrence of the current field in this message. (Protobuf would merge the
  // two; no producer writes that, and it would let two parts of a file claim the same thing.)
  void once(const char* name) {
    uint64_t bit = uint64_t{1} << (number_ & 63);
    if (seen_ & bit) fail("field `{}` appears twice", name);
    seen_ |= bit;
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) const {
    throw WireError{DiagnosticKind::bad_model, fmt::format(text, std::forward<Args>(args)...), at_};
  }

 private:
  void expect(protozero::pbf_wire_type type, const char* name) const {
    if (wire_type_ != type) {
      fail("field `{}` has wire type {}, expected {}", name, static_cast<int>(wire_type_),
           static_cast<int>(type));
    }
  }

  // protozero keeps the low 32 bits of a length, and would go on at a wrong place.
  void check_length() const {
    const char* data = reader_.data().data();
    const char* end = data + reader_.data().size();
    uint64_t length = guarded([&] { return protozero::decode_varint(&data, end); });
    if (length > static_cast<uint64_t>(end - data)) {
      fail("field {} ends beyond the message that holds it", number_);
    }
    if (length > 0xffffffffu) {
      throw WireError{
          DiagnosticKind::too_large,
          fmt::format("field {} has {} bytes, the format allows less than 4 GiB", number_, length),
          at_};
    }
  }

  template <class Function>
  auto guarded(Function function) const -> decltype(function()) {
    try {
      return function();
    } catch (const protozero::end_of_buffer_exception&) {
      fail("the message ends within a field");
    } catch (const protozero::varint_too_long_exception&) {
      fail("an integer has more than ten bytes");
    } catch (const protozero::unknown_pbf_wire_type_exception&) {
      fail("a field has an unknown wire type");
    } catch (const protozero::invalid_tag_exception&) {
      fail("a field has an invalid number");
    } catch (const protozero::exception& e) {
      fail("{}", e.what());
    }
  }

  protozero::pbf_reader reader_;
  const char* at_;  // where the current field starts
  int number_ = 0;
  protozero::pbf_wire_type wire_type_ = protozero::pbf_wire_type::unknown;
  uint64_t seen_ = 0;  // bit n: field n has appeared (all fields of ONNX have numbers below 64)
};

}  // namespace repose::onnx
