// Attribute values and dictionaries.
#include "ir/attrs.h"

#include <algorithm>
#include <bit>

namespace repose {

namespace {

uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t x = seed ^ (value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2));
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

}  // namespace

Attr::Attr(AttrList v) : value_(std::make_shared<const AttrList>(std::move(v))) {}
Attr::Attr(AttrDict v) : value_(std::make_shared<const AttrDict>(std::move(v))) {}
Attr::Attr(const std::vector<int64_t>& v) : Attr(AttrList(v.begin(), v.end())) {}
Attr::Attr(const std::vector<std::string>& v) : Attr(AttrList(v.begin(), v.end())) {}

const AttrList* Attr::as_list() const {
  const auto* list = std::get_if<std::shared_ptr<const AttrList>>(&value_);
  return list ? list->get() : nullptr;
}

const AttrDict* Attr::as_dict() const {
  const auto* dict = std::get_if<std::shared_ptr<const AttrDict>>(&value_);
  return dict ? dict->get() : nullptr;
}

bool Attr::operator==(const Attr& other) const {
  if (value_.index() != other.value_.index()) return false;
  if (const double* v = as_float()) {
    return std::bit_cast<uint64_t>(*v) == std::bit_cast<uint64_t>(*other.as_float());
  }
  if (const Expr* v = as_expr()) return structural_equal(*v, *other.as_expr());
  if (const AttrList* v = as_list()) return *v == *other.as_list();
  if (const AttrDict* v = as_dict()) return *v == *other.as_dict();
  return value_ == other.value_;
}

uint64_t Attr::hash() const {
  uint64_t h = mix(0, value_.index());
  if (const bool* v = as_bool()) return mix(h, *v);
  if (const int64_t* v = as_int()) return mix(h, static_cast<uint64_t>(*v));
  if (const double* v = as_float()) return mix(h, std::bit_cast<uint64_t>(*v));
  if (const std::string* v = as_string()) return mix(h, std::hash<std::string>()(*v));
  if (const DType* v = as_dtype()) return mix(h, std::hash<DType>()(*v));
  if (const Expr* v = as_expr()) return mix(h, *v ? (*v)->hash() : 0);
  if (const AttrList* v = as_list()) {
    for (const Attr& item : *v) h = mix(h, item.hash());
  }
  if (const AttrDict* v = as_dict()) {
    for (const auto& [key, item] : *v) h = mix(mix(h, key.hash()), item.hash());
  }
  return h;
}

const Attr* Attrs::find(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Attrs::set(std::string name, Attr value) {
  for (auto& [key, old] : items_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  items_.emplace_back(std::move(name), std::move(value));
}

void Attrs::erase(std::string_view name) {
  std::erase_if(items_, [&](const auto& item) { return item.first == name; });
}

namespace {

const Attr* find_present(const Attrs& attrs, std::string_view name) {
  const Attr* a = attrs.find(name);
  return a && !a->is_none() ? a : nullptr;
}

[[noreturn]] void wrong_kind(std::string_view name, const char* kind) {
  fail_check(__FILE__, __LINE__, "kind of an attribute",
             fmt::format("attribute `{}` is no {}", name, kind));
}

}  // namespace

bool Attrs::get_bool(std::string_view name, bool absent) const {
  const Attr* a = find_present(*this, name);
  if (!a) return absent;
  if (const bool* v = a->as_bool()) return *v;
  if (const int64_t* v = a->as_int(); v && (*v == 0 || *v == 1)) return *v != 0;
  wrong_kind(name, "bool");
}

int64_t Attrs::get_int(std::string_view name, int64_t absent) const {
  const Attr* a = find_present(*this, name);
  if (!a) return absent;
  if (const int64_t* v = a->as_int()) return *v;
  wrong_kind(name, "integer");
}

double Attrs::get_float(std::string_view name, double absent) const {
  const Attr* a = find_present(*this, name);
  if (!a) return absent;
  if (const double* v = a->as_float()) return *v;
  if (const int64_t* v = a->as_int()) return static_cast<double>(*v);
  wrong_kind(name, "number");
}

std::string Attrs::get_string(std::string_view name, std::string absent) const {
  const Attr* a = find_present(*this, name);
  if (!a) return absent;
  if (const std::string* v = a->as_string()) return *v;
  wrong_kind(name, "string");
}

DType Attrs::get_dtype(std::string_view name, DType absent) const {
  const Attr* a = find_present(*this, name);
  if (!a) return absent;
  if (const DType* v = a->as_dtype()) return *v;
  wrong_kind(name, "dtype");
}

std::vector<int64_t> Attrs::get_ints(std::string_view name) const {
  const Attr* a = find_present(*this, name);
  if (!a) return {};
  if (const int64_t* v = a->as_int()) return {*v};
  const AttrList* list = a->as_list();
  if (!list) wrong_kind(name, "list of integers");
  std::vector<int64_t> result;
  for (const Attr& item : *list) {
    const int64_t* v = item.as_int();
    if (!v) wrong_kind(name, "list of integers");
    result.push_back(*v);
  }
  return result;
}

bool Attrs::operator==(const Attrs& other) const {
  if (size() != other.size()) return false;
  return std::all_of(begin(), end(), [&](const auto& item) {
    const Attr* found = other.find(item.first);
    return found && *found == item.second;
  });
}

Attr rewrite_exprs(const Attr& attr, const std::function<Expr(const Expr&)>& rewrite) {
  if (const Expr* e = attr.as_expr()) return *e ? Attr(rewrite(*e)) : attr;
  if (const AttrList* list = attr.as_list()) {
    AttrList items;
    for (const Attr& item : *list) items.push_back(rewrite_exprs(item, rewrite));
    return Attr(std::move(items));
  }
  if (const AttrDict* dict = attr.as_dict()) {
    AttrDict items;
    for (const auto& [key, item] : *dict) {
      items.emplace_back(rewrite_exprs(key, rewrite), rewrite_exprs(item, rewrite));
    }
    return Attr(std::move(items));
  }
  return attr;
}

Attrs rewrite_exprs(const Attrs& attrs, const std::function<Expr(const Expr&)>& rewrite) {
  Attrs result = attrs;
  for (const auto& [name, value] : attrs) result.set(name, rewrite_exprs(value, rewrite));
  return result;
}

}  // namespace repose
