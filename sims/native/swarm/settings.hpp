// What Python hands over once: sizes, physical constants and reward weights. Sources and units are in
// sims/mujoco/swarm/constants.py; the order of the fields is mirrored there and guarded by the struct's size.
#pragma once

namespace haltere::swarm {

enum Scenario : int { kMix = 0, kRandom = 1, kShared = 2, kSwap = 3, kPursuit = 4, kMoving = 5 };

struct Settings {
  int drones;
  int obstacles;
  int neighbours;
  int scenario;
  int episode_steps;
  int substeps;
  int training;
  int replay_capacity;

  double sim_dt_s;
  double ctrl_dt_s;
  double mass_kg;
  double inertia_kgm2[3];
  double motor_offset_m;
  double arm_m;
  double motor_thrust_n;
  double torque_per_thrust_m;
  double motor_gain;
  double max_rate_rps;

  double gust_decay;
  double gust_std;
  double position_std_m;
  double velocity_std_mps;
  double gyro_std_rps;
  double downwash;

  double room_m;
  double forest_m;
  double cell_m;
  double obstacle_radius_m;
  double grid_pitch_m;

  double reward_distance;
  double reward_effort;
  double reward_floor;
  double reward_tilt;
  double reward_spin;
  double reward_contact;
  double reward_proximity;
  double reward_clearance;
  double reward_clip;
  double proximity_m;
  double clearance_m;

  double grace_s;
  double reached_m;
  double reached_shared_m;
  double replay_probability;
  double first_held_out_seed;
};

}  // namespace haltere::swarm
