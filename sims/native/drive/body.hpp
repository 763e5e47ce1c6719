// What moves: one fixed layout, which Python reads and writes in place (bodies.py names every field and its unit).
#pragma once

#include <cmath>
#include <cstdint>

namespace haltere::drive {

constexpr double kGravity = 9.81;
constexpr int kGears = 8, kCurve = 16;

enum Kind : int64_t { kFree = 0, kVehicle = 1, kWalker = 2, kProp = 3 };

struct Body {
  double location[3], turn[3], velocity[3], spin[3], acceleration[3], extent[3];
  double mass, inertia, steer, rpm, shifting, falls;
  double force[3], torque[3], held[3], walk[3];
  double throttle, steering, brake;
  int64_t kind, gear, hand_brake, reverse, manual, wished_gear, jump;
  int64_t physics, gravity, solid, holds, grounded;
};

struct Params {
  double mass, inertia, front, rear, track, height;      // kg, kg m2, m from the centre of mass to the axles, m, m
  double front_stiffness, rear_stiffness, friction;      // N/rad of an axle under its own load, share of the load
  double drag, rolling;                                  // N s2/m2, share of the weight
  double most_steer, steer_rate;                         // rad, rad/s
  double radius, final_ratio, efficiency, idle_rpm, most_rpm, switch_time;
  double brake_torque, hand_brake_torque;                // N m, of all wheels that it acts on
  double gear_count, automatic, reverse_ratio;
  double ratio[kGears], up[kGears], down[kGears];        // shares of most_rpm
  double torque_points, torque_rpm[kCurve], torque[kCurve];
  double steer_points, steer_kmh[kCurve], steer_share[kCurve];
};

struct Ground {
  double x, y, cell;
  int64_t columns, rows;
  const float* heights;

  double at(double px, double py) const {
    const double u = clamp((px - x) / cell, static_cast<double>(columns - 1));
    const double v = clamp((py - y) / cell, static_cast<double>(rows - 1));
    const int64_t i = last(u, columns), j = last(v, rows);
    const double fu = u - static_cast<double>(i), fv = v - static_cast<double>(j);
    const float* low = heights + j * columns + i;
    const int64_t right = columns > 1 ? 1 : 0, up = rows > 1 ? columns : 0;
    return (low[0] * (1 - fu) + low[right] * fu) * (1 - fv) + (low[up] * (1 - fu) + low[up + right] * fu) * fv;
  }

 private:
  static double clamp(double value, double most) { return value > 0 ? (value < most ? value : most) : 0; }
  static int64_t last(double value, int64_t count) {
    const int64_t index = static_cast<int64_t>(value);
    return index < count - 1 ? index : (count > 1 ? count - 2 : 0);
  }
};

// One step of one body, without what it meets.
void move(Body& body, const Params& params, const Ground& ground, double dt);

}  // namespace haltere::drive
