// Shared ownership of immutable nodes: an intrusive, atomically counted reference.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace repose {

// Base of every shared node. The count is atomic, so nodes may be shared between threads.
// Destruction is iterative: releasing the last reference to a chain of any depth uses constant
// stack, because nodes that die while another one is being destroyed wait in a list.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;

  void retain() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(this);
  }
  bool is_unique() const noexcept { return count_.load(std::memory_order_acquire) == 1; }

 private:
  static void destroy(const RefCounted* node) noexcept;

  mutable std::atomic<uint32_t> count_{0};
  mutable const RefCounted* next_dead_ = nullptr;
};

// A possibly null reference to a T, which derives from RefCounted. Equality is identity.
template <class T>
class Ref {
 public:
  using Node = T;

  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT: null is a reference
  explicit Ref(T* node) : node_(node) { retain(); }
  Ref(const Ref& other) : node_(other.node_) { retain(); }
  Ref(Ref&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(const Ref<U>& other) : node_(other.get()) {  // NOLINT: derived to base
    retain();
  }
  ~Ref() {
    if (node_) node_->release();
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }

  T* get() const { return node_; }
  T* operator->() const { return node_; }
  T& operator*() const { return *node_; }
  explicit operator bool() const { return node_ != nullptr; }
  template <class U>
  bool operator==(const Ref<U>& other) const {
    return node_ == other.get();
  }
  bool operator==(std::nullptr_t) const { return node_ == nullptr; }

 private:
  void retain() const {
    if (node_) node_->retain();
  }
  T* node_ = nullptr;
};

template <class T, class... Args>
Ref<const T> make_ref(Args&&... args) {
  return Ref<const T>(new T(std::forward<Args>(args)...));
}

}  // namespace repose

template <class T>
struct std::hash<repose::Ref<T>> {
  size_t operator()(const repose::Ref<T>& ref) const noexcept {
    return std::hash<const void*>()(ref.get());
  }
};
