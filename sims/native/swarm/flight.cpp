#include "flight.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace haltere::swarm {
namespace {

// Motors in the Crazyflie's order: front right, back right, back left, front left, seen from above with x forward.
// A propeller that turns counter-clockwise pushes the body clockwise, so its yaw sign is negative.
constexpr double kMotorX[4] = {1, -1, -1, 1};
constexpr double kMotorY[4] = {-1, -1, 1, 1};
constexpr double kMotorYaw[4] = {-1, 1, -1, 1};

constexpr double kWashRadius_m = 0.1, kWashDepth_m = 0.7;

// Downwash of every drone on those below it, as impulses at the start of the step.
// Source: the swarm paper's simulator, after Shi et al. 2020, arXiv:2003.02992, figure 3.
void downwash(Episode& episode, const Settings& set) {
  EventStream& events = episode.clock.events;
  for (int above = 0; above < set.drones; ++above) {
    const double* from = &episode.qpos[7 * above];
    double matrix[9];
    bool rotated = false;
    for (int below = 0; below < set.drones; ++below) {
      if (below == above) continue;
      const double* at = &episode.qpos[7 * below];
      const double d[3] = {at[0] - from[0], at[1] - from[1], at[2] - from[2]};
      const double squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      if (squared > kWashDepth_m * kWashDepth_m + kWashRadius_m * kWashRadius_m) continue;
      if (!rotated) rotation(episode, above, matrix);
      rotated = true;
      const double up[3] = {matrix[2], matrix[5], matrix[8]};
      const double along = d[0] * up[0] + d[1] * up[1] + d[2] * up[2];
      if (along >= 0.0 || along <= -kWashDepth_m || squared - along * along >= kWashRadius_m * kWashRadius_m) continue;
      const double distance = std::sqrt(squared);
      double push[3], twist[3], push_norm = 0.0, twist_norm = 0.0;
      for (int axis = 0; axis < 3; ++axis) {
        push[axis] = -(up[axis] + events.uniform(-0.1, 0.1));
        twist[axis] = events.uniform(-1.0, 1.0);
        push_norm += push[axis] * push[axis];
        twist_norm += twist[axis] * twist[axis];
      }
      const double acceleration = std::max(0.0, 6.0 / 17.0 * (7.0 - 10.0 * distance) + events.uniform(-0.1, 0.1));
      const double spin = 0.3 * (distance - 1.0) * (distance - 1.0) + events.uniform(-0.01, 0.01);
      double* velocity = &episode.qvel[6 * below];
      for (int axis = 0; axis < 3; ++axis) {
        velocity[axis] += set.ctrl_dt_s * acceleration * push[axis] / std::sqrt(push_norm);
        velocity[3 + axis] += set.ctrl_dt_s * spin * twist[axis] / std::max(1e-9, std::sqrt(twist_norm));
      }
    }
  }
}

// First-order lag on the square root of thrust, then forces and torques at the centre of mass.
void drive_motors(Episode& episode, const Settings& set, const float* command, mjData* data) {
  for (int i = 0; i < set.drones; ++i) {
    double force = 0.0, roll = 0.0, pitch = 0.0, yaw = 0.0;
    for (int m = 0; m < 4; ++m) {
      float& motor = episode.motor[4 * i + m];
      const float wanted = command[4 * i + m];
      motor += static_cast<float>(set.motor_gain) * (std::sqrt(wanted) - motor);
      const float fraction = std::clamp(motor * motor + wanted * episode.gust[4 * i + m], 0.0f, 1.0f);
      const double thrust = set.motor_thrust_n * fraction;
      force += thrust;
      roll += kMotorY[m] * thrust;
      pitch -= kMotorX[m] * thrust;
      yaw += kMotorYaw[m] * thrust;
    }
    const double* q = data->qpos + 7 * i + 3;
    double* applied = data->qfrc_applied + 6 * i;
    applied[0] = force * 2.0 * (q[1] * q[3] + q[0] * q[2]);
    applied[1] = force * 2.0 * (q[2] * q[3] - q[0] * q[1]);
    applied[2] = force * (1.0 - 2.0 * (q[1] * q[1] + q[2] * q[2]));
    applied[3] = set.motor_offset_m * roll;
    applied[4] = set.motor_offset_m * pitch;
    applied[5] = set.torque_per_thrust_m * yaw;
  }
}

void note_contacts(const Settings& set, const mjData* data, Touches& touches) {
  const int last_drone = kRoomGeoms + set.drones;
  for (int c = 0; c < data->ncon; ++c) {
    for (int side = 0; side < 2; ++side) {
      const int me = data->contact[c].geom[side], other = data->contact[c].geom[1 - side];
      if (me < kRoomGeoms || me >= last_drone) continue;
      const int drone = me - kRoomGeoms;
      if (other == 0) touches.floor[drone] = 1;
      else if (other < kRoomGeoms) touches.room[drone] = 1;
      else if (other < last_drone) touches.drone[drone] = 1;
      else touches.obstacle[drone] = 1;
    }
  }
}

// Body rates are limited, and a drone on the floor stands upright so that it can take off again, both as published.
void settle(const Settings& set, const Touches& touches, const Episode& episode, mjData* data) {
  for (int i = 0; i < set.drones; ++i) {
    double* velocity = data->qvel + 6 * i;
    for (int axis = 3; axis < 6; ++axis)
      velocity[axis] = std::clamp(velocity[axis], -set.max_rate_rps, set.max_rate_rps);
    if (!touches.floor[i]) continue;
    double* q = data->qpos + 7 * i + 3;
    const double yaw = std::atan2(2.0 * (q[1] * q[2] + q[0] * q[3]), 1.0 - 2.0 * (q[2] * q[2] + q[3] * q[3]));
    q[0] = std::cos(0.5 * yaw);
    q[1] = q[2] = 0.0;
    q[3] = std::sin(0.5 * yaw);
    std::fill_n(velocity + 3, 3, 0.0);
    if (!episode.on_floor[i]) std::fill_n(velocity, 3, 0.0);
  }
}

}  // namespace

void rotation(const Episode& episode, int drone, double* matrix) {
  mju_quat2Mat(matrix, &episode.qpos[7 * drone + 3]);
}

void load(const Episode& episode, const Settings& set, mjData* data) {
  std::memcpy(data->qpos, episode.qpos.data(), episode.qpos.size() * sizeof(double));
  std::memcpy(data->qvel, episode.qvel.data(), episode.qvel.size() * sizeof(double));
  std::memcpy(data->qacc_warmstart, episode.warmstart.data(), episode.warmstart.size() * sizeof(double));
  for (int i = 0; i < set.obstacles; ++i) {
    data->mocap_pos[3 * i] = episode.obstacle[2 * i];
    data->mocap_pos[3 * i + 1] = episode.obstacle[2 * i + 1];
    data->mocap_pos[3 * i + 2] = 0.5 * set.room_m;
  }
  data->time = 0.0;
  for (mjWarningStat& warning : data->warning) warning.number = 0;
}

bool fly(Episode& episode, const Settings& set, const mjModel* model, mjData* data, const float* command,
         const float* normals, Touches& touches) {
  for (int i = 0; i < 4 * set.drones; ++i) {
    float& gust = episode.gust[i];
    gust += static_cast<float>(set.gust_std) * normals[i] - static_cast<float>(set.gust_decay) * gust;
  }
  if (set.downwash > 0.0) downwash(episode, set);
  std::memset(&touches, 0, sizeof touches);
  load(episode, set, data);
  for (int substep = 0; substep < set.substeps; ++substep) {
    drive_motors(episode, set, command, data);
    mj_step(model, data);
    note_contacts(set, data, touches);
    settle(set, touches, episode, data);
  }
  bool sound = true;
  for (const mjWarningStat& warning : data->warning) sound = sound && warning.number == 0;
  std::memcpy(episode.qpos.data(), data->qpos, episode.qpos.size() * sizeof(double));
  std::memcpy(episode.qvel.data(), data->qvel, episode.qvel.size() * sizeof(double));
  std::memcpy(episode.warmstart.data(), data->qacc_warmstart, episode.warmstart.size() * sizeof(double));
  return sound;
}

}  // namespace haltere::swarm
