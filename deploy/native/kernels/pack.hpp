// From arrays of weights to what the vector code reads.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "haltere/kernels.h"
#include "kernels.hpp"

namespace haltere::kernels {

// Memory of one op's packed weights, aligned to cache lines; freed with the op.
class Arena {
 public:
  // Zeroed. Throws std::bad_alloc.
  template <class T>
  T *take(std::size_t count) {
    return static_cast<T *>(take_bytes(count * sizeof(T)));
  }
  std::int64_t bytes() const { return bytes_; }

  // Room for weights that are read one after the other, on huge pages where the system has them: small ones cost a
  // walk through the page tables every 4 KiB, and prefetching ends at each.
  void reserve(std::size_t bytes);

 private:
  struct Free {
    void operator()(void *memory) const;
  };
  void *take_bytes(std::size_t bytes);

  std::vector<std::unique_ptr<void, Free>> blocks_;
  std::int64_t bytes_ = 0;
  char *free_ = nullptr;  // of what is reserved
  std::size_t left_ = 0;
};

// Weights of a layer, [outputs, inputs] row-major. The bias may be nullptr.
struct Layer {
  const float *weight;
  const float *bias;
  std::int64_t outputs, inputs;
};

// `widest`: kWide for linear(), kNarrow for linear_rows().
Matrix pack(Arena &arena, const Kernels &kernels, const Layer &layer, haltere_precision precision,
            std::int64_t widest = kWide);

// `count` values with zeros up to the next whole vector.
const float *pack_vector(Arena &arena, const Kernels &kernels, const float *values, std::int64_t count);

inline std::int64_t padded(const Kernels &kernels, std::int64_t count) {
  return (count + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
}

// scale * a b, or scale * a^T b, summed in double precision; both are [size, size] row-major.
std::vector<float> product(const float *a, const float *b, std::int64_t size, bool transpose_a, double scale);

}  // namespace haltere::kernels
