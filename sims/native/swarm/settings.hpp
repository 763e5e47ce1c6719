// What Python hands over once: sizes, physical constants and reward weights. Sources and units are in
// sims/mujoco/swarm/constants.py. The fields are listed once; native.py compares their names when it loads the library.
#pragma once

namespace haltere::swarm {

enum Scenario : int { kMix = 0, kRandom = 1, kShared = 2, kSwap = 3, kPursuit = 4, kMoving = 5 };

#define HALTERE_SWARM_INTS(FIELD) \
  FIELD(drones)                   \
  FIELD(obstacles)                \
  FIELD(neighbours)               \
  FIELD(scenario)                 \
  FIELD(episode_steps)            \
  FIELD(substeps)                 \
  FIELD(training)                 \
  FIELD(replay_capacity)

#define HALTERE_SWARM_DOUBLES(FIELD) \
  FIELD(sim_dt_s)                    \
  FIELD(ctrl_dt_s)                   \
  FIELD(mass_kg)                     \
  FIELD(motor_offset_m)              \
  FIELD(arm_m)                       \
  FIELD(motor_thrust_n)              \
  FIELD(torque_per_thrust_m)         \
  FIELD(motor_gain)                  \
  FIELD(max_rate_rps)                \
  FIELD(gust_decay)                  \
  FIELD(gust_std)                    \
  FIELD(position_std_m)              \
  FIELD(velocity_std_mps)            \
  FIELD(gyro_std_rps)                \
  FIELD(downwash)                    \
  FIELD(room_m)                      \
  FIELD(forest_m)                    \
  FIELD(cell_m)                      \
  FIELD(obstacle_radius_m)           \
  FIELD(grid_pitch_m)                \
  FIELD(reward_distance)             \
  FIELD(reward_effort)               \
  FIELD(reward_floor)                \
  FIELD(reward_tilt)                 \
  FIELD(reward_spin)                 \
  FIELD(reward_contact)              \
  FIELD(reward_proximity)            \
  FIELD(reward_clearance)            \
  FIELD(reward_clip)                 \
  FIELD(proximity_m)                 \
  FIELD(clearance_m)                 \
  FIELD(grace_s)                     \
  FIELD(reached_m)                   \
  FIELD(reached_shared_m)            \
  FIELD(replay_probability)          \
  FIELD(first_held_out_seed)

struct Settings {
#define HALTERE_INT(name) int name;
#define HALTERE_DOUBLE(name) double name;
  HALTERE_SWARM_INTS(HALTERE_INT)
  HALTERE_SWARM_DOUBLES(HALTERE_DOUBLE)
#undef HALTERE_INT
#undef HALTERE_DOUBLE
};

}  // namespace haltere::swarm
