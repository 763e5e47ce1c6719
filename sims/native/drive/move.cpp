// Vehicles as a dynamic single track whose tyres slip and saturate, walkers and props as boxes that slide.
//
// Source: Rajamani, Vehicle Dynamics and Control (2nd ed.), chapters 2.3 (single track) and 4.1 (longitudinal); below
// walking pace slip angles mean nothing, and the rear axle goes where it points instead, as in Althoff and Wuersching,
// CommonRoad: Vehicle Models (2020), section 8.3.
#include <algorithm>

#include "body.hpp"

namespace haltere::drive {
namespace {

constexpr double kKinematicBelow = 1.5, kDynamicAbove = 3.0;  // m/s
constexpr double kLeansIn = 0.05;                             // s, to the slope of the ground
constexpr double kDroop = 0.05;                               // m that wheels reach down for the ground, a round figure
constexpr double kSteadily = 0.8;                             // of the slip that an axle's force may undo in one step
constexpr double kSlides = 0.6;                               // friction of props on the ground
constexpr double kFarthest = 1e5, kFastest = 1e3;             // m and m/s (or rad/s) in any direction, and no further
constexpr double kHandBrakeGrip = 0.4;                        // of the rear tyres' sideways force, once locked

double line(const double* x, const double* y, double count, double at) {
  const int n = static_cast<int>(count);
  if (n == 0) return 0;
  if (at <= x[0]) return y[0];
  for (int i = 1; i < n; ++i)
    if (at < x[i]) return y[i - 1] + (y[i] - y[i - 1]) * (at - x[i - 1]) / (x[i] - x[i - 1]);
  return y[n - 1];
}

// A number within limits, whatever it was.
double bounded(double value, double most) { return value > -most ? (value < most ? value : most) : (value <= -most ? -most : 0); }

double toward(double from, double to, double most) { return from + std::clamp(to - from, -most, most); }

// Slows a speed without turning it round.
double slowed(double speed, double by) {
  return std::abs(speed) <= by ? 0 : speed - std::copysign(by, speed);
}

double ratio_of(const Body& body, const Params& p) {
  if (body.gear == 0) return 0;
  if (body.gear < 0) return -p.reverse_ratio * p.final_ratio;
  return p.ratio[std::min<int64_t>(body.gear, static_cast<int64_t>(p.gear_count)) - 1] * p.final_ratio;
}

void change_gear(Body& body, const Params& p, double speed, double dt) {
  body.shifting = std::max(0.0, body.shifting - dt);
  const int64_t before = body.gear, most = static_cast<int64_t>(p.gear_count);
  if (body.manual || p.automatic == 0) {
    body.gear = body.manual ? std::clamp<int64_t>(body.wished_gear, -1, most) : body.gear;
  } else if (body.reverse) {
    body.gear = -1;
  } else if (body.gear < 1) {
    body.gear = 1;
  } else if (body.shifting == 0) {
    const double share = body.rpm / p.most_rpm;
    if (share > p.up[body.gear - 1] && body.gear < most) ++body.gear;
    else if (share < p.down[body.gear - 1] && body.gear > 1) --body.gear;
  }
  if (body.gear != before) body.shifting = p.switch_time;
  const double wheel_rpm = std::abs(speed) / p.radius * 60 / (2 * M_PI) * std::abs(ratio_of(body, p));
  body.rpm = std::clamp(std::max(wheel_rpm, p.idle_rpm + body.throttle * (body.gear == 0 ? p.most_rpm : 0)), 0.0, p.most_rpm);
}

double pulled(const Body& body, const Params& p, double speed) {
  const double ratio = ratio_of(body, p);
  if (ratio == 0 || (body.shifting > 0 && std::abs(speed) > 1)) return 0;
  const double wheel_rpm = speed / p.radius * 60 / (2 * M_PI) * ratio;
  if (wheel_rpm >= p.most_rpm) return 0;  // the engine's limiter
  return body.throttle * line(p.torque_rpm, p.torque, p.torque_points, body.rpm) * ratio * p.efficiency / p.radius;
}

// Sideways force of an axle, less what of its grip goes into pulling and braking.
double sideways(double stiffness, double grip, double slip, double along) {
  const double left = std::sqrt(std::max(grip * grip - along * along, 0.04 * grip * grip));
  return grip <= 0 ? 0 : -left * std::tanh(stiffness * slip / left);
}

void drive(Body& body, const Params& p, double dt) {
  const double c = std::cos(body.turn[0]), s = std::sin(body.turn[0]);
  double vx = body.velocity[0] * c + body.velocity[1] * s, vy = -body.velocity[0] * s + body.velocity[1] * c;
  double yaw_rate = body.spin[2];
  const double share = line(p.steer_kmh, p.steer_share, p.steer_points, std::abs(vx) * 3.6);
  body.steer = toward(body.steer, body.steering * p.most_steer * (p.steer_points > 0 ? share : 1), p.steer_rate * dt);
  change_gear(body, p, vx, dt);

  const double base = p.front + p.rear, weight = p.mass * kGravity;
  const double most = p.friction * weight;
  const double pull = std::clamp(pulled(body, p, vx), -most, most);
  const double front_brake = 0.6 * body.brake * p.brake_torque / p.radius;
  const double rear_brake = 0.4 * body.brake * p.brake_torque / p.radius + (body.hand_brake ? p.hand_brake_torque / p.radius : 0);
  const double transfer = std::clamp(body.acceleration[0] * c + body.acceleration[1] * s, -kGravity, kGravity) * p.mass * p.height / base;
  const double front_grip = p.friction * std::max(weight * p.rear / base - transfer, 0.0);
  const double rear_grip = p.friction * std::max(weight * p.front / base + transfer, 0.0);
  const double brake = std::min(front_brake, front_grip) + std::min(rear_brake, rear_grip);
  const double pushed = body.force[0] * c + body.force[1] * s;
  const double freely = pull + pushed - p.drag * vx * std::abs(vx) - weight * std::sin(body.turn[1]);
  const double still = slowed(vx + freely / p.mass * dt, (brake + p.rolling * weight) / p.mass * dt);
  const double along = (still - vx) / dt * p.mass;

  const double speed = std::abs(vx);
  const double blend = std::clamp((speed - kKinematicBelow) / (kDynamicAbove - kKinematicBelow), 0.0, 1.0);
  const double rolled_rate = still * std::tan(body.steer) / base, rolled_side = rolled_rate * p.rear;
  double slid_rate = yaw_rate, slid_side = vy, slid_along = still;
  if (blend > 0) {
    const double ahead = std::copysign(1.0, vx), sine = std::sin(body.steer), cosine = std::cos(body.steer);
    const double front_slip = std::atan2(vy + p.front * yaw_rate, speed) - ahead * body.steer;
    const double rear_slip = std::atan2(vy - p.rear * yaw_rate, speed);
    const double grip = body.hand_brake ? kHandBrakeGrip : 1;
    // Stiffer tyres than this would jump from one side to the other at every step.
    const double front_most = kSteadily * speed / dt / (1 / p.mass + p.front * p.front / p.inertia);
    const double rear_most = kSteadily * speed / dt / (1 / p.mass + p.rear * p.rear / p.inertia);
    const double front = sideways(std::min(p.front_stiffness, front_most), front_grip, front_slip, along * p.rear / base);
    const double rear =
        grip * sideways(std::min(p.rear_stiffness, rear_most), rear_grip, rear_slip, along * p.front / base);
    const double across = -body.force[0] * s + body.force[1] * c;
    // Forces alone: velocity is kept in the world, so that turning the frame itself isn't counted here.
    slid_side = vy + (front * cosine + rear + across) / p.mass * dt;
    slid_rate = yaw_rate + (p.front * front * cosine - p.rear * rear + body.torque[2]) / p.inertia * dt;
    slid_along = still - front * sine / p.mass * dt;
  } else if (body.torque[2] != 0) {
    slid_rate += body.torque[2] / p.inertia * dt;
  }
  // A shove sideways or round doesn't vanish at once where the tyres don't slide by themselves: they slide to rest.
  const double grips = p.friction * kGravity * dt;
  const double side = toward(vy, rolled_side, grips), rate = toward(yaw_rate, rolled_rate, grips / std::max(p.rear, 0.5));
  vx = blend * slid_along + (1 - blend) * still;
  vy = blend * slid_side + (1 - blend) * side;
  body.spin[2] = blend * slid_rate + (1 - blend) * rate;
  body.velocity[0] = vx * c - vy * s;
  body.velocity[1] = vx * s + vy * c;
}

void slide(Body& body, double dt) {
  const double speed = std::hypot(body.velocity[0], body.velocity[1]);
  for (int i = 0; i < 2; ++i) body.velocity[i] += body.force[i] / body.mass * dt;
  body.spin[2] += body.torque[2] / body.inertia * dt;
  const double kept = speed > 0 ? slowed(speed, kSlides * kGravity * dt) / speed : 1;
  for (int i = 0; i < 2; ++i) body.velocity[i] *= kept;
  body.spin[2] = slowed(body.spin[2], kSlides * kGravity / std::max(std::hypot(body.extent[0], body.extent[1]), 0.1) * dt);
}

// Height, and the slope under the wheels.
void stand(Body& body, const Params& p, const Ground& ground, double dt) {
  const double c = std::cos(body.turn[0]), s = std::sin(body.turn[0]);
  const bool rolls = body.kind == kVehicle;
  const double ahead = rolls ? p.front : body.extent[0], behind = rolls ? p.rear : body.extent[0];
  const double half = rolls ? p.track / 2 : body.extent[1];
  const auto height = [&](double x, double y) {
    return ground.at(body.location[0] + x * c - y * s, body.location[1] + x * s + y * c);
  };
  const double fl = height(ahead, -half), fr = height(ahead, half), rl = height(-behind, -half), rr = height(-behind, half);
  const double level = (fl + fr + rl + rr) / 4;
  const double rises = ((fl + fr) - (rl + rr)) / 2 / (ahead + behind), leans = ((fr + rr) - (fl + rl)) / 2 / (2 * half);
  body.velocity[2] += (body.force[2] / body.mass - (body.gravity ? kGravity : 0)) * dt;
  body.location[2] += body.velocity[2] * dt;
  if (body.location[2] <= level) {
    // It goes up and down with the slope, so that it leaves a crest and keeps to the ground down a hill.
    body.location[2] = level;
    const double vx = body.velocity[0] * c + body.velocity[1] * s, vy = body.velocity[1] * c - body.velocity[0] * s;
    body.velocity[2] = vx * rises + vy * leans;
  }
  body.grounded = body.location[2] <= level + (rolls ? kDroop : 0);
  if (body.kind == kWalker) return;
  const double nearer = std::min(1.0, dt / kLeansIn);
  body.turn[1] += (std::atan(rises) - body.turn[1]) * nearer;
  body.turn[2] += (-std::atan(leans) - body.turn[2]) * nearer;
}

// A client may ask for anything; what comes of it must be a place that can be counted with.
void stay_within(Body& body) {
  for (int i = 0; i < 3; ++i) {
    body.velocity[i] = bounded(body.velocity[i], kFastest);
    body.spin[i] = bounded(body.spin[i], kFastest);
    body.held[i] = bounded(body.held[i], kFastest);
    body.walk[i] = bounded(body.walk[i], kFastest);
    body.location[i] = bounded(body.location[i], kFarthest);
  }
}

}  // namespace

void move(Body& body, const Params& params, const Ground& ground, double dt) {
  stay_within(body);
  if (!body.physics) {
    for (int i = 0; i < 3; ++i) body.velocity[i] = body.spin[i] = 0;
    return;
  }
  body.falls = std::max(0.0, body.falls - dt);
  if (body.kind == kWalker && body.falls == 0) {
    for (int i = 0; i < 2; ++i) body.velocity[i] = body.walk[i];
    if (body.jump && body.grounded) body.velocity[2] = 3.0;
    body.jump = 0;
  } else if (body.grounded && body.kind == kVehicle) {
    drive(body, params, dt);
  } else if (body.grounded) {
    slide(body, dt);
  }
  if (body.holds) {
    const double c = std::cos(body.turn[0]), s = std::sin(body.turn[0]);
    body.velocity[0] = body.held[0] * c - body.held[1] * s;
    body.velocity[1] = body.held[0] * s + body.held[1] * c;
  }
  stay_within(body);
  for (int i = 0; i < 2; ++i) body.location[i] += body.velocity[i] * dt;
  body.turn[0] = std::remainder(body.turn[0] + body.spin[2] * dt, 2 * M_PI);
  stand(body, params, ground, dt);
  stay_within(body);
}

}  // namespace haltere::drive
