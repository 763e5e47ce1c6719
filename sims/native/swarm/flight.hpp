// The physics of one control step: motors, gusts and downwash ours, rigid bodies and contacts MuJoCo's.
#pragma once

#include <mujoco/mujoco.h>

#include "episode.hpp"

namespace haltere::swarm {

// The scene numbers its geoms: floor, four walls and ceiling, then drones, then cylinders.
constexpr int kRoomGeoms = 6;

// Who touched what during one control step, in any of its substeps.
struct Touches {
  uint8_t drone[kMaxDrones];
  uint8_t obstacle[kMaxDrones];
  uint8_t room[kMaxDrones];  // walls and ceiling
  uint8_t floor[kMaxDrones];
};

// Advances the episode by one control step.
//   command  4N thrust fractions in [0, 1]
//   normals  4N standard normals for the thrust noise
// Returns false if MuJoCo met a state that it could not integrate (it then resets the data, so the episode is lost).
bool fly(Episode& episode, const Settings& set, const mjModel* model, mjData* data, const float* command,
         const float* normals, Touches& touches);

// Puts the episode's state and cylinders into MuJoCo's data.
void load(const Episode& episode, const Settings& set, mjData* data);

// Rotation matrix, row by row, of the drone's unit quaternion.
void rotation(const Episode& episode, int drone, double* matrix);

}  // namespace haltere::swarm
