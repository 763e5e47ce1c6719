// From what each pixel shows to its four bytes: blue, green, red, 255.
#pragma once

#include "sight.hpp"

namespace haltere::sight {

struct Look {
  const Frame& frame;
  const Soup& standing;
  const Light& light;
};

// Rows from top to bottom of a camera's picture, from what Raster has left of them.
void resolve(const Camera& camera, int top, int bottom, const float* nearness, const uint32_t* seen, const Look& look);

}  // namespace haltere::sight
