#include "sense.hpp"

#include <algorithm>
#include <cmath>

namespace haltere::swarm {
namespace {

constexpr float kFar_m = 10.0f;          // clip of relative positions, and what an absent neighbour or cylinder reads
constexpr float kFastest_mps = 6.0f;     // clip of relative velocities
constexpr float kNearest_m = 0.01f;      // keeps the direction to a touching neighbour defined

float distance_to_goal(const Episode& episode, int i) {
  float squared = 0.0f;
  for (int axis = 0; axis < 3; ++axis) {
    const float d = static_cast<float>(episode.qpos[7 * i + axis]) - episode.goal[3 * i + axis];
    squared += d * d;
  }
  return std::sqrt(squared);
}

void sense_self(const Episode& episode, const Settings& set, int i, const float* normals, float* out) {
  const double* pose = &episode.qpos[7 * i];
  const double* velocity = &episode.qvel[6 * i];
  double matrix[9];
  rotation(episode, i, matrix);
  for (int axis = 0; axis < 3; ++axis) {
    const float at = static_cast<float>(pose[axis] + set.position_std_m * normals[axis]);
    out[axis] = at - episode.goal[3 * i + axis];
    out[3 + axis] = static_cast<float>(velocity[axis] + set.velocity_std_mps * normals[3 + axis]);
    out[15 + axis] = static_cast<float>(velocity[3 + axis] + set.gyro_std_rps * normals[6 + axis]);
    if (axis == 2) out[18] = at;
  }
  for (int k = 0; k < 9; ++k) out[6 + k] = static_cast<float>(matrix[k]);
}

// The K drones with the smallest distance one second ahead if both keep their velocity along the line between them.
void sense_neighbours(const Episode& episode, const Settings& set, int i, float* out) {
  const int n = set.drones, k = set.neighbours;
  float urgency[kMaxDrones], position[kMaxDrones][3], velocity[kMaxDrones][3];
  for (int j = 0; j < n; ++j) {
    float squared = 0.0f, closing = 0.0f;
    for (int axis = 0; axis < 3; ++axis) {
      position[j][axis] = static_cast<float>(episode.qpos[7 * j + axis] - episode.qpos[7 * i + axis]);
      velocity[j][axis] = static_cast<float>(episode.qvel[6 * j + axis] - episode.qvel[6 * i + axis]);
      squared += position[j][axis] * position[j][axis];
      closing += position[j][axis] * velocity[j][axis];
    }
    const float distance = std::max(std::sqrt(squared), kNearest_m);
    urgency[j] = distance + closing / distance;
  }
  urgency[i] = INFINITY;
  for (int slot = 0; slot < k; ++slot, out += 6) {
    const int j = static_cast<int>(std::min_element(urgency, urgency + n) - urgency);
    const bool absent = urgency[j] == INFINITY;
    for (int axis = 0; axis < 3; ++axis) {
      out[axis] = absent ? kFar_m : std::clamp(position[j][axis], -kFar_m, kFar_m);
      out[3 + axis] = absent ? 0.0f : std::clamp(velocity[j][axis], -kFastest_mps, kFastest_mps);
    }
    urgency[j] = INFINITY;
  }
}

void sense_obstacles(const Episode& episode, const Settings& set, int i, float* out) {
  float nearest[kGrid];
  std::fill_n(nearest, kGrid, INFINITY);
  const float x = static_cast<float>(episode.qpos[7 * i]), y = static_cast<float>(episode.qpos[7 * i + 1]);
  const float pitch = static_cast<float>(set.grid_pitch_m);
  for (int c = 0; c < set.obstacles; ++c) {
    const float dx = x - episode.obstacle[2 * c], dy = y - episode.obstacle[2 * c + 1];
    for (int cell = 0; cell < kGrid; ++cell) {
      const float gx = dx + pitch * static_cast<float>(cell / 3 - 1), gy = dy + pitch * static_cast<float>(cell % 3 - 1);
      const float squared = gx * gx + gy * gy;
      nearest[cell] = squared < nearest[cell] ? squared : nearest[cell];
    }
  }
  const float radius = static_cast<float>(set.obstacle_radius_m);
  for (int cell = 0; cell < kGrid; ++cell) out[cell] = std::min(std::sqrt(nearest[cell]) - radius, kFar_m);
}

// Nearness to other drones: 1 at no distance, a half at contact, 0 at proximity_m; summed.
double crowding(const Episode& episode, const Settings& set, int i) {
  double sum = 0.0;
  const double* me = &episode.qpos[7 * i];
  for (int j = 0; j < set.drones; ++j) {
    if (j == i) continue;
    const double* at = &episode.qpos[7 * j];
    const double dx = at[0] - me[0], dy = at[1] - me[1], dz = at[2] - me[2];
    const double squared = dx * dx + dy * dy + dz * dz;
    if (squared < set.proximity_m * set.proximity_m) sum += 1.0 - std::sqrt(squared) / set.proximity_m;
  }
  return sum;
}

// Nearness to the nearest cylinder: 1 at contact, 0 from clearance_m of free air on.
double squeeze(const Episode& episode, const Settings& set, int i) {
  double nearest = INFINITY;
  for (int c = 0; c < set.obstacles; ++c) {
    const double dx = episode.qpos[7 * i] - episode.obstacle[2 * c];
    const double dy = episode.qpos[7 * i + 1] - episode.obstacle[2 * c + 1];
    nearest = std::min(nearest, dx * dx + dy * dy);
  }
  const double air = std::sqrt(nearest) - set.obstacle_radius_m - set.arm_m;
  return std::clamp(1.0 - air / set.clearance_m, 0.0, 1.0);
}

double pay(const Episode& episode, const Settings& set, int i, const float* action, float distance) {
  const double* q = &episode.qpos[7 * i + 3];
  const double* rate = &episode.qvel[6 * i + 3];
  double effort = 0.0, spin = 0.0;
  for (int m = 0; m < 4; ++m) effort += static_cast<double>(action[m]) * action[m];
  for (int axis = 0; axis < 3; ++axis) spin += rate[axis] * rate[axis];
  const double upright = 1.0 - 2.0 * (q[1] * q[1] + q[2] * q[2]);
  const bool floor = episode.on_floor[i];
  return -set.sim_dt_s * (set.reward_distance * distance + set.reward_effort * std::sqrt(effort) +
                          set.reward_floor * floor + set.reward_tilt * (floor ? 1.0 : -upright) +
                          set.reward_spin * std::sqrt(spin));
}

// After a new contact the drone tumbles: a random body rate on top of MuJoCo's rebound.
void tumble(Episode& episode, const Settings& set, int i, double slowest, double fastest) {
  EventStream& events = episode.clock.events;
  double axis[3], norm = 0.0;
  for (double& component : axis) {
    component = events.uniform(-1.0, 1.0);
    norm += component * component;
  }
  const double rate = events.uniform(slowest, fastest) / std::max(1e-9, std::sqrt(norm));
  for (int k = 0; k < 3; ++k) {
    double& omega = episode.qvel[6 * i + 3 + k];
    omega = std::clamp(omega + rate * axis[k], -set.max_rate_rps, set.max_rate_rps);
  }
}

}  // namespace

void observe(const Episode& episode, const Settings& set, const float* normals, float* out) {
  for (int i = 0; i < set.drones; ++i, out += observation_size(set)) {
    sense_self(episode, set, i, normals + kNoisePerDrone * i, out);
    sense_neighbours(episode, set, i, out + kSelf);
    sense_obstacles(episode, set, i, out + kSelf + 6 * set.neighbours);
  }
}

void settle_accounts(Episode& episode, const Settings& set, const Touches& touches, const float* action, double anneal,
                     float* reward) {
  EpisodeClock& clock = episode.clock;
  const bool settled = clock.tick * set.ctrl_dt_s > set.grace_s;
  const bool late = (set.episode_steps - clock.tick) * set.ctrl_dt_s < 1.0;
  for (int i = 0; i < set.drones; ++i) {
    const bool new_drone = touches.drone[i] && !episode.touch_drone[i];
    const bool new_obstacle = touches.obstacle[i] && !episode.touch_obstacle[i];
    episode.touch_drone[i] = touches.drone[i];
    episode.touch_obstacle[i] = touches.obstacle[i];
    episode.touch_room[i] = touches.room[i];
    episode.on_floor[i] = touches.floor[i];
    if (settled) {
      episode.hit_drone[i] |= touches.drone[i];
      episode.hit_obstacle[i] |= touches.obstacle[i];
      episode.hit_room[i] |= touches.room[i] | touches.floor[i];
    }
    const float distance = distance_to_goal(episode, i);
    float* recent = &episode.recent[kRecent * i];
    recent[clock.tick % kRecent] = distance;
    float sum = 0.0f;
    for (int k = 0; k < kRecent; ++k) sum += recent[k];
    if (sum < kRecent * clock.reached_m) episode.reached[i] = 1;
    const double* v = &episode.qvel[6 * i];
    episode.path_m[i] += static_cast<float>(set.ctrl_dt_s * std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]));
    if (late) episode.late_distance_m[i] += static_cast<float>(set.ctrl_dt_s) * distance;

    double r = pay(episode, set, i, action + 4 * i, distance);
    r -= anneal * set.reward_contact * (new_drone + new_obstacle);
    r -= anneal * set.ctrl_dt_s * set.reward_proximity * crowding(episode, set, i);
    if (set.reward_clearance > 0.0) r -= anneal * set.ctrl_dt_s * set.reward_clearance * squeeze(episode, set, i);
    reward[i] = static_cast<float>(std::clamp(r, -set.reward_clip, set.reward_clip));
    if (new_drone) tumble(episode, set, i, 10.0 * M_PI, 20.0 * M_PI);
    if (new_obstacle) tumble(episode, set, i, 0.5 * M_PI, M_PI);
  }
  clock.floor_steps += episode.on_floor[0];
}

void metrics(const Episode& episode, const Settings& set, float* out) {
  for (int i = 0; i < set.drones; ++i, out += kMetrics) {
    const bool collided = episode.hit_drone[i] || episode.hit_obstacle[i];
    out[0] = !collided && episode.reached[i];
    out[1] = collided;
    out[2] = episode.hit_drone[i];
    out[3] = episode.hit_obstacle[i];
    out[4] = episode.hit_room[i];
    out[5] = !collided && !episode.reached[i];
    out[6] = episode.late_distance_m[i];
    out[7] = episode.path_m[i];
  }
}

}  // namespace haltere::swarm
