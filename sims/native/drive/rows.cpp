// Bodies as a world's state has them: CARLA's packed rows, with what the road says where a vehicle is.
#include "rows.hpp"

#include <algorithm>
#include <cmath>

namespace haltere::drive {

namespace {

constexpr uint8_t kGreen = 2;

float limit_at(const Road& road, double x, double y) {
  const auto cell = [&road](double at, int64_t count) {
    return std::clamp(std::nearbyint(at / road.cell), 0.0, static_cast<double>(count - 1));
  };
  const auto column = static_cast<int64_t>(cell(x - road.x, road.columns));
  const auto row = static_cast<int64_t>(cell(y - road.y, road.rows));
  return road.limits[row * road.columns + column];
}

// Number of the first light whose box a place is in, among the road's; -1 where there is none.
int64_t light_at(const Road& road, double x, double y) {
  for (int64_t i = 0; i < road.lights; ++i) {
    const Line& line = road.lines[i];
    const double dx = x - line.x, dy = y - line.y;
    if (std::abs(dx * line.cosine + dy * line.sine) <= line.half_x &&
        std::abs(dy * line.cosine - dx * line.sine) <= line.half_y)
      return i;
  }
  return -1;
}

void drive(const Body& body, const Road& road, Row& row) {
  row.throttle = static_cast<float>(body.throttle);
  row.steer = static_cast<float>(body.steering);
  row.brake = static_cast<float>(body.brake);
  row.hand_brake = body.hand_brake != 0;
  row.reverse = body.reverse != 0;
  row.manual = body.manual != 0;
  row.gear = static_cast<int32_t>(body.gear);
  const double x = row.location[0], y = row.location[1];
  row.speed_limit = limit_at(road, x, y);
  const int64_t light = light_at(road, x, y);
  row.at_light = light >= 0;
  row.light_actor = light < 0 ? 0 : static_cast<uint32_t>(road.first_light + light);
  row.light = light < 0 ? kGreen : road.shows[light];
}

}  // namespace

void fill(const Body* bodies, const int64_t* pairs, int64_t count, const Road& road, Row* rows) {
  constexpr double degrees = 180.0 / M_PI;
  for (int64_t i = 0; i < count; ++i) {
    Row& row = rows[pairs[2 * i]];
    const Body& body = bodies[pairs[2 * i + 1]];
    const double turn[3] = {body.turn[1], body.turn[0], body.turn[2]};  // CARLA names pitch before yaw
    for (int k = 0; k < 3; ++k) {
      row.location[k] = static_cast<float>(body.location[k]);
      row.rotation[k] = static_cast<float>(turn[k] * degrees);
      row.velocity[k] = static_cast<float>(body.velocity[k]);
      row.angular_velocity[k] = static_cast<float>(body.spin[k] * degrees);
      row.acceleration[k] = static_cast<float>(body.acceleration[k]);
    }
    if (body.kind == kVehicle) drive(body, road, row);
  }
}

}  // namespace haltere::drive
