#include "scenario.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace haltere::swarm {
namespace {

constexpr double kLowest = 1.0, kHighest = 3.0;          // start and goal heights [m]
constexpr double kLayerGap = 0.2;                        // between drones of one cell [m]
constexpr double kSharedLowest = 1.5;                    // lowest shared goal [m]
constexpr double kSwapShortest_s = 4.0, kSwapLongest_s = 6.0;
constexpr double kMovePeriod_s = 5.0, kMoveReach_m = 4.0;
constexpr double kCurve_s = 6.0, kCurveReach_m = 5.0, kCurveMargin_m = 0.5;

struct Cells {
  int side;
  double cell_m;
  std::vector<uint8_t> taken;

  explicit Cells(const Settings& set)
      : side(static_cast<int>(std::lround(set.forest_m / set.cell_m))), cell_m(set.cell_m), taken(side * side, 0) {}

  double centre(int index) const { return (index - 0.5 * (side - 1)) * cell_m; }
  double x(int cell) const { return centre(cell % side); }
  double y(int cell) const { return centre(cell / side); }

  std::vector<int> free() const {
    std::vector<int> out;
    for (int cell = 0; cell < side * side; ++cell)
      if (!taken[cell]) out.push_back(cell);
    return out;
  }
};

// The first n entries of a random permutation (Fisher and Yates).
void shuffle_front(std::vector<int>& items, int n, EventStream& events) {
  for (int i = 0; i < n; ++i) std::swap(items[i], items[i + events.below(items.size() - i)]);
}

Cells plant(Episode& episode, const Settings& set) {
  Cells cells(set);
  std::vector<int> order(cells.taken.size());
  std::iota(order.begin(), order.end(), 0);
  shuffle_front(order, set.obstacles, episode.clock.events);
  for (int i = 0; i < set.obstacles; ++i) {
    cells.taken[order[i]] = 1;
    episode.obstacle[2 * i] = static_cast<float>(cells.x(order[i]));
    episode.obstacle[2 * i + 1] = static_cast<float>(cells.y(order[i]));
  }
  return cells;
}

// One point a drone, no two in the same free cell and layer. More drones than free cells stack in layers of height.
void scatter(const Cells& cells, int n, EventStream& events, double* out) {
  const std::vector<int> open = cells.free();
  const int count = static_cast<int>(open.size());
  const int layers = (n + count - 1) / count;
  std::vector<int> slots(count * layers);
  std::iota(slots.begin(), slots.end(), 0);
  shuffle_front(slots, n, events);
  const double depth = (kHighest - kLowest) / layers;
  for (int i = 0; i < n; ++i) {
    const int cell = open[slots[i] % count];
    const double bottom = kLowest + depth * (slots[i] / count);
    out[3 * i] = cells.x(cell);
    out[3 * i + 1] = cells.y(cell);
    out[3 * i + 2] = events.uniform(bottom, bottom + depth - (layers > 1 ? kLayerGap : 0.0));
  }
}

// Centre of the largest square of free cells, by the usual dynamic programme over bottom-right corners.
void largest_clearing(const Cells& cells, double* xy) {
  const int side = cells.side;
  std::vector<int> size(side * side);
  int best = 0;
  for (int row = 0; row < side; ++row)
    for (int col = 0; col < side; ++col) {
      const int at = row * side + col;
      if (cells.taken[at]) continue;
      const bool edge = row == 0 || col == 0;
      size[at] = edge ? 1 : 1 + std::min({size[at - 1], size[at - side], size[at - side - 1]});
      if (size[at] <= best) continue;
      best = size[at];
      xy[0] = cells.centre(col) - 0.5 * (best - 1) * cells.cell_m;
      xy[1] = cells.centre(row) - 0.5 * (best - 1) * cells.cell_m;
    }
}

void share_goal(Episode& episode, int n, const double* point) {
  for (int i = 0; i < n; ++i)
    for (int axis = 0; axis < 3; ++axis) episode.goal[3 * i + axis] = static_cast<float>(point[axis]);
}

void random_free_point(const Cells& cells, EventStream& events, double* out) {
  const std::vector<int> open = cells.free();
  const int cell = open[events.below(open.size())];
  out[0] = cells.x(cell);
  out[1] = cells.y(cell);
  out[2] = events.uniform(kLowest, kHighest);
}

Cells cells_of(const Episode& episode, const Settings& set) {
  Cells cells(set);
  for (int i = 0; i < set.obstacles; ++i) {
    const int col = static_cast<int>(std::lround(episode.obstacle[2 * i] / cells.cell_m + 0.5 * (cells.side - 1)));
    const int row = static_cast<int>(std::lround(episode.obstacle[2 * i + 1] / cells.cell_m + 0.5 * (cells.side - 1)));
    cells.taken[row * cells.side + col] = 1;
  }
  return cells;
}

// A quadratic Bezier from the present goal through two points of the room, each at most kCurveReach_m away.
void draw_curve(Episode& episode, const Settings& set) {
  EventStream& events = episode.clock.events;
  float* control = episode.clock.bezier;
  const double half = 0.5 * set.room_m - kCurveMargin_m;
  std::copy_n(episode.goal.data(), 3, control);
  for (int point = 1; point < 3; ++point) {
    double distance;
    do {
      distance = 0.0;
      for (int axis = 0; axis < 3; ++axis) {
        const double at = axis == 2 ? events.uniform(kSharedLowest, kHighest) : events.uniform(-half, half);
        control[3 * point + axis] = static_cast<float>(at);
        distance += std::pow(at - control[axis], 2);
      }
    } while (distance > kCurveReach_m * kCurveReach_m);
  }
}

void place_drones(Episode& episode, const Settings& set, const double* start) {
  for (int i = 0; i < set.drones; ++i) {
    const double yaw = episode.clock.events.uniform(-M_PI, M_PI);
    double* pose = &episode.qpos[7 * i];
    std::copy_n(start + 3 * i, 3, pose);
    pose[3] = std::cos(0.5 * yaw);
    pose[4] = pose[5] = 0.0;
    pose[6] = std::sin(0.5 * yaw);
  }
}

void place_goals(Episode& episode, const Settings& set, const Cells& cells) {
  EpisodeClock& clock = episode.clock;
  double point[3 * kMaxDrones];
  switch (clock.scenario) {
    case kRandom:
    case kSwap:
      scatter(cells, set.drones, clock.events, point);
      std::copy_n(point, 3 * set.drones, episode.goal.data());
      clock.period_steps =
          static_cast<int>(clock.events.uniform(kSwapShortest_s, kSwapLongest_s) / set.ctrl_dt_s);
      break;
    case kPursuit:
      random_free_point(cells, clock.events, point);
      share_goal(episode, set.drones, point);
      clock.period_steps = static_cast<int>(kCurve_s / set.ctrl_dt_s);
      draw_curve(episode, set);
      break;
    default:  // one shared goal, which kMoving then moves
      largest_clearing(cells, point);
      point[2] = clock.events.uniform(kSharedLowest, kHighest);
      share_goal(episode, set.drones, point);
      clock.period_steps = static_cast<int>(kMovePeriod_s / set.ctrl_dt_s);
  }
  clock.reached_m = static_cast<float>(clock.scenario == kRandom ? set.reached_m : set.reached_shared_m);
}

}  // namespace

void begin(Episode& episode, const Settings& set, uint64_t seed) {
  Episode fresh;
  fresh.resize(set);
  episode = std::move(fresh);
  EpisodeClock& clock = episode.clock;
  clock.events.seed(seed);
  clock.noise.seed(~seed);
  clock.last_saved_tick = -1000000;
  clock.scenario = set.scenario == kMix ? (clock.events.below(2) ? kRandom : kShared) : set.scenario;
  std::fill(episode.recent.begin(), episode.recent.end(), 1e3f);

  const Cells cells = plant(episode, set);
  double start[3 * kMaxDrones];
  scatter(cells, set.drones, clock.events, start);
  place_drones(episode, set, start);
  place_goals(episode, set, cells);
}

void move_goals(Episode& episode, const Settings& set) {
  EpisodeClock& clock = episode.clock;
  const int into_period = clock.tick % clock.period_steps;
  if (clock.scenario == kSwap && into_period == 0) {
    std::vector<int> order(set.drones);
    std::iota(order.begin(), order.end(), 0);
    shuffle_front(order, set.drones, clock.events);
    const std::vector<float> goal = episode.goal;
    for (int i = 0; i < set.drones; ++i) std::copy_n(&goal[3 * order[i]], 3, &episode.goal[3 * i]);
  } else if (clock.scenario == kMoving && into_period == 0) {
    const Cells cells = cells_of(episode, set);
    double point[3], distance;
    do {
      random_free_point(cells, clock.events, point);
      distance = 0.0;
      for (int axis = 0; axis < 3; ++axis) distance += std::pow(point[axis] - episode.goal[axis], 2);
    } while (distance > kMoveReach_m * kMoveReach_m);
    share_goal(episode, set.drones, point);
  } else if (clock.scenario == kPursuit) {
    if (into_period == 0) draw_curve(episode, set);
    const double t = static_cast<double>(into_period) / clock.period_steps, u = 1.0 - t;
    const float* control = clock.bezier;
    double point[3];
    for (int axis = 0; axis < 3; ++axis)
      point[axis] = u * u * control[axis] + 2.0 * u * t * control[3 + axis] + t * t * control[6 + axis];
    share_goal(episode, set.drones, point);
  }
}

}  // namespace haltere::swarm
