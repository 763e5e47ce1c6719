// Plain C interface for Python: a place with its ground and what stands there; bodies and parameters are Python's arrays.
#include <new>

#include "contact.hpp"
#include "rows.hpp"

#define HALTERE_EXPORT extern "C" __attribute__((visibility("default")))

using namespace haltere::drive;

namespace {

struct Place {
  std::vector<float> heights;
  Ground ground;
  Standing standing;
};

}  // namespace

HALTERE_EXPORT int haltere_drive_abi() { return 3; }
HALTERE_EXPORT int64_t haltere_drive_body_bytes() { return sizeof(Body); }
HALTERE_EXPORT int64_t haltere_drive_params_bytes() { return sizeof(Params); }
HALTERE_EXPORT int64_t haltere_drive_row_bytes() { return sizeof(Row); }

// heights: rows * columns; boxes: count * 7 (x, y, low, high, yaw, half_x, half_y). Null where memory is short.
HALTERE_EXPORT void* haltere_drive_place(const float* heights, int64_t rows, int64_t columns, double x, double y,
                                         double cell, const double* boxes, int64_t count) {
  try {
    std::vector<Box> standing(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const double* b = boxes + 7 * i;
      standing[static_cast<size_t>(i)] = {b[0], b[1], b[2], b[3], b[4], b[5], b[6]};
    }
    Place* place = new Place{std::vector<float>(heights, heights + rows * columns), {}, Standing(std::move(standing))};
    place->ground = {x, y, cell, columns, rows, place->heights.data()};
    return place;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

HALTERE_EXPORT void haltere_drive_free(void* place) { delete static_cast<Place*>(place); }

// Nothing meets these of the boxes from now on; all others are met again.
HALTERE_EXPORT void haltere_drive_hide(void* place, const int64_t* boxes, int64_t count) {
  static_cast<Place*>(place)->standing.hide(boxes, count);
}

HALTERE_EXPORT double haltere_drive_height(const void* place, double x, double y) {
  return static_cast<const Place*>(place)->ground.at(x, y);
}

// One tick of count slots, of which free ones are passed over. Returns how many contacts there were, of which at most
// `room` are written; -1 where memory is short.
HALTERE_EXPORT int64_t haltere_drive_step(const void* place, Body* bodies, const Params* params, int64_t count, double dt,
                                          int64_t substeps, Contact* contacts, int64_t room) {
  const Place& here = *static_cast<const Place*>(place);
  try {
    std::vector<Body*> solid;
    std::vector<int64_t> numbers;
    std::vector<Contact> met;
    std::vector<double> before(static_cast<size_t>(3 * count));
    for (int64_t i = 0; i < count; ++i) {
      if (bodies[i].kind == kFree) continue;
      for (int k = 0; k < 3; ++k) before[static_cast<size_t>(3 * i + k)] = bodies[i].velocity[k];
      if (bodies[i].solid) solid.push_back(bodies + i), numbers.push_back(i);
    }
    const double step = dt / static_cast<double>(substeps);
    for (int64_t n = 0; n < substeps; ++n) {
      for (int64_t i = 0; i < count; ++i)
        if (bodies[i].kind != kFree) move(bodies[i], params[i], here.ground, step);
      resolve(solid, numbers, here.standing, met);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (bodies[i].kind == kFree) continue;
      for (int k = 0; k < 3; ++k) {
        bodies[i].acceleration[k] = (bodies[i].velocity[k] - before[static_cast<size_t>(3 * i + k)]) / dt;
        bodies[i].force[k] = bodies[i].torque[k] = 0;
      }
    }
    for (int64_t i = 0; i < static_cast<int64_t>(met.size()) && i < room; ++i) contacts[i] = met[static_cast<size_t>(i)];
    return static_cast<int64_t>(met.size());
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// Whether a box (x, y, low, high, yaw, half_x, half_y) overlaps a body or what stands there.
HALTERE_EXPORT int haltere_drive_taken(const void* place, const Body* bodies, int64_t count, const double* box) {
  const Box b{box[0], box[1], box[2], box[3], box[4], box[5], box[6]};
  for (int64_t i = 0; i < count; ++i)
    if (bodies[i].kind != kFree && bodies[i].solid && overlap(b, box_of(bodies[i]))) return 1;
  const Place& here = *static_cast<const Place*>(place);
  try {
    std::vector<int32_t> close;
    here.standing.near(b, close);
    for (const int32_t thing : close)
      if (overlap(b, here.standing.boxes()[static_cast<size_t>(thing)])) return 1;
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return 0;
}

// Write bodies into rows of a world's state.
HALTERE_EXPORT void haltere_drive_fill(const Body* bodies, const int64_t* pairs, int64_t count, const Road* road,
                                       Row* rows) {
  fill(bodies, pairs, count, *road, rows);
}
