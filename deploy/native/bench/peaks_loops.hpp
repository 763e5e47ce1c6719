// The two loops whose speed is the processor's limit, as one instruction set runs them.
#pragma once

#include <cstddef>

namespace haltere::bench {

struct Loops {
  const char* isa;
  // Multiply-adds on registers alone; returns how many float32 operations that were.
  double (*multiply_add)(long rounds);
  // Sums `count` floats, a multiple of 256; returns the sum, so that none is left out.
  float (*read)(const float* data, size_t count);
};

extern const Loops kBaseline;
#if defined(__x86_64__)
extern const Loops kAvx2;
extern const Loops kAvx512;
#endif

}  // namespace haltere::bench
