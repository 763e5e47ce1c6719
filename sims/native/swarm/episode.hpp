// Everything that the future of one episode depends on. Copying it is a snapshot; visiting it is serialisation.
#pragma once

#include <cstdint>
#include <vector>

#include "random.hpp"
#include "settings.hpp"

namespace haltere::swarm {

constexpr int kRecent = 5;      // steps over which the distance to the goal is averaged before it counts as reached
constexpr int kMaxDrones = 64;  // bounds the stack buffers of one step

// Plain data, copied as bytes.
struct EpisodeClock {
  EventStream events;
  NoiseStream noise;
  int32_t tick;
  int32_t scenario;
  int32_t period_steps;      // swap and moving: how often the goals change
  int32_t last_saved_tick;   // when a clip of this episode was last stored for replay
  int32_t replayed;          // this episode goes on from a stored clip
  int32_t partial;           // this episode began in the middle, to stagger the worlds
  int32_t floor_steps;       // of drone 0, for the replay switch
  int32_t pad;
  float bezier[9];           // pursuit: three control points
  float reached_m;
};

struct Episode {
  EpisodeClock clock{};
  std::vector<double> qpos, qvel, warmstart;       // MuJoCo's state: 7N, 6N, 6N
  std::vector<float> motor, gust;                  // 4N each: sqrt of thrust fraction; thrust noise
  std::vector<float> goal;                         // 3N
  std::vector<float> obstacle;                     // 2C: axis of each cylinder
  std::vector<float> recent;                       // 5N: last distances to the goal
  std::vector<float> path_m, late_distance_m;      // N: flown so far; summed over the last second
  std::vector<uint8_t> touch_drone, touch_obstacle, touch_room, on_floor;  // N: in contact at the last step
  std::vector<uint8_t> hit_drone, hit_obstacle, hit_room;        // N: had a contact after the grace period
  std::vector<uint8_t> reached;                                  // N

  void resize(const Settings& set) {
    const int n = set.drones;
    qpos.resize(7 * n);
    qvel.resize(6 * n);
    warmstart.resize(6 * n);
    motor.resize(4 * n);
    gust.resize(4 * n);
    goal.resize(3 * n);
    obstacle.resize(2 * set.obstacles);
    recent.resize(kRecent * n);
    path_m.resize(n);
    late_distance_m.resize(n);
    for (auto* flags : {&touch_drone, &touch_obstacle, &touch_room, &on_floor, &hit_drone, &hit_obstacle, &hit_room, &reached})
      flags->resize(n);
  }

  // Calls visitor(bytes, count) on every field in a fixed order.
  template <class Visitor>
  void visit(Visitor&& visitor) {
    visitor(&clock, sizeof clock);
    for (auto* field : {&qpos, &qvel, &warmstart}) visitor(field->data(), field->size() * sizeof(double));
    for (auto* field : {&motor, &gust, &goal, &obstacle, &recent, &path_m, &late_distance_m})
      visitor(field->data(), field->size() * sizeof(float));
    for (auto* field : {&touch_drone, &touch_obstacle, &touch_room, &on_floor, &hit_drone, &hit_obstacle, &hit_room, &reached})
      visitor(field->data(), field->size());
  }
};

}  // namespace haltere::swarm
