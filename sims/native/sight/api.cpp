// Plain C interface for Python. Whatever allocates returns null or -1 where memory is short.
#include <new>

#include "sight.hpp"

#define HALTERE_EXPORT extern "C" __attribute__((visibility("default")))

using namespace haltere::sight;

// The version of this interface: a library of another version of haltere is refused.
HALTERE_EXPORT int haltere_sight_abi() { return 1; }
HALTERE_EXPORT int64_t haltere_sight_camera_bytes() { return sizeof(Camera); }

// vertices: 3 each; triangles, colors: 3 for each of count; labels, things: count.
HALTERE_EXPORT void* haltere_sight_new(const float* vertices, const int32_t* triangles, int64_t count,
                                       const uint8_t* colors, const uint8_t* labels, const int32_t* things, int threads) {
  try {
    return new Sight(body_of(vertices, triangles, count, colors, labels, things, nullptr), threads);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

HALTERE_EXPORT void haltere_sight_free(void* sight) { delete static_cast<Sight*>(sight); }

// The shape's number.
HALTERE_EXPORT int haltere_sight_shape(void* sight, const float* vertices, const int32_t* triangles, int64_t count,
                                       const uint8_t* colors, const uint8_t* labels, const int32_t* things,
                                       const uint8_t* painted) {
  try {
    return static_cast<Sight*>(sight)->add(body_of(vertices, triangles, count, colors, labels, things, painted));
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// These things and no others are seen no more.
HALTERE_EXPORT int haltere_sight_hide(void* sight, const int32_t* things, int64_t count) {
  try {
    static_cast<Sight*>(sight)->hide(things, count);
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// -2 where a mover's shape doesn't exist.
HALTERE_EXPORT int haltere_sight_draw(void* sight, const Movers* movers, const Camera* cameras, int64_t count,
                                      const Light* light) {
  Sight& own = *static_cast<Sight*>(sight);
  if (!own.knows(*movers)) return -2;
  try {
    own.draw(*movers, cameras, count, *light);
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// -2 where a mover's shape doesn't exist.
HALTERE_EXPORT int haltere_sight_cast(const void* sight, const Movers* movers, const Rays* rays) {
  const Sight& own = *static_cast<const Sight*>(sight);
  if (!own.knows(*movers)) return -2;
  try {
    own.cast(*movers, *rays);
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
