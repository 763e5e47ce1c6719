// A row of a world's state, as CARLA's client reads it, and what the road says at every place.
#pragma once

#include <cstdint>

#include "body.hpp"

namespace haltere::drive {

#pragma pack(push, 1)
struct Row {
  uint32_t number;
  uint8_t state;
  float location[3], rotation[3], velocity[3], angular_velocity[3], acceleration[3];
  // The rest is a vehicle's; other kinds have theirs there, which Python writes.
  float throttle, steer, brake;
  uint8_t hand_brake, reverse, manual;
  int32_t gear;
  float speed_limit;  // km/h
  uint8_t light, at_light;
  uint32_t light_actor;
  uint8_t failure, rest[24];
};
#pragma pack(pop)

// The box before a light where vehicles wait for it.
struct Line {
  double x, y, cosine, sine, half_x, half_y;
};

struct Road {
  const float* limits;  // km/h; rows along y, columns along x
  int64_t columns, rows;
  double x, y, cell;
  const Line* lines;
  const uint8_t* shows;
  int64_t lights, first_light;
};

// Write bodies into rows; count pairs of a row's number and a body's.
void fill(const Body* bodies, const int64_t* pairs, int64_t count, const Road& road, Row* rows);

}  // namespace haltere::drive
