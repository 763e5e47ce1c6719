// Two random streams a world: one scalar generator for events, one of sixteen lanes for sensor and motor noise.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace haltere::swarm {

// Source: Steele et al. 2014, "Fast splittable pseudorandom number generators"; spreads one seed over a state.
inline uint64_t splitmix64(uint64_t& x) {
  uint64_t z = (x += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// xoshiro256++. Source: Blackman and Vigna 2021, arXiv:1805.01407.
struct EventStream {
  uint64_t s[4];

  void seed(uint64_t value) {
    for (uint64_t& word : s) word = splitmix64(value);
  }

  uint64_t bits() {
    auto rotl = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
    const uint64_t result = rotl(s[0] + s[3], 23) + s[0];
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
  }

  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // The bias of the multiplication is below 2^-32 for the small ranges used here.
  uint64_t below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(bits()) * n) >> 64); }
};

// Natural logarithm of a normal positive float, to 2e-7 relative, without branches so that loops over it become vector
// code. Source: Moshier, Cephes, logf: ln m as a polynomial in m - 1 on [sqrt(1/2), sqrt(2)].
inline float fast_log(float x) {
  const int32_t bits = std::bit_cast<int32_t>(x) - 0x3f3504f3;  // sqrt(1/2)
  const float exponent = static_cast<float>(bits >> 23);
  const float m = std::bit_cast<float>((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  return m + (p * m - 0.5f) * m * m + exponent * 0.693147180559945f;
}

// sin(2 pi t) for |t| <= 1/4, to 4e-7: the Taylor polynomial of degree 11.
inline float sine_of_turn(float t) {
  const float x = 6.283185307f * t, y = x * x;
  float p = -2.5052108e-8f;
  p = p * y + 2.7557319e-6f;
  p = p * y - 1.9841270e-4f;
  p = p * y + 8.3333333e-3f;
  p = p * y - 1.6666667e-1f;
  return x + x * y * p;
}

// Sixteen xoshiro128++ lanes side by side, so that the compiler turns the loops into vector code.
struct NoiseStream {
  static constexpr int kLanes = 16;
  uint32_t s[4][kLanes];

  void seed(uint64_t value) {
    for (auto& row : s)
      for (uint32_t& word : row) word = static_cast<uint32_t>(splitmix64(value) >> 32);
  }

  void bits(uint32_t* out) {
    for (int i = 0; i < kLanes; ++i) {
      const uint32_t sum = s[0][i] + s[3][i];
      out[i] = ((sum << 7) | (sum >> 25)) + s[0][i];
      const uint32_t t = s[1][i] << 9;
      s[2][i] ^= s[0][i];
      s[3][i] ^= s[1][i];
      s[1][i] ^= s[2][i];
      s[0][i] ^= s[3][i];
      s[2][i] ^= t;
      s[3][i] = (s[3][i] << 11) | (s[3][i] >> 21);
    }
  }

  // Standard normals by Box and Muller 1958. count must be a multiple of 2 * kLanes.
  void normals(float* out, int count) {
    uint32_t radius_bits[kLanes], angle_bits[kLanes];
    for (int done = 0; done < count; done += 2 * kLanes, out += 2 * kLanes) {
      bits(radius_bits);
      bits(angle_bits);
      for (int i = 0; i < kLanes; ++i) {
        const float u = (static_cast<float>(static_cast<int32_t>(radius_bits[i] >> 8)) + 0.5f) * 0x1.0p-24f;
        const float turn = static_cast<float>(static_cast<int32_t>(angle_bits[i]) >> 8) * 0x1.0p-24f;  // [-1/2, 1/2)
        const float radius = std::sqrt(-2.0f * fast_log(u));
        const float folded = std::abs(turn) > 0.25f ? std::copysign(0.5f, turn) - turn : turn;
        out[i] = radius * sine_of_turn(0.25f - std::abs(turn));
        out[kLanes + i] = radius * sine_of_turn(folded);
      }
    }
  }
};

}  // namespace haltere::swarm
