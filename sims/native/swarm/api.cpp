// Plain C interface for Python. What can fail returns 0, or a code that native.py turns into a sentence.
#include <time.h>

#include <cmath>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "pool.hpp"
#include "sense.hpp"
#include "world.hpp"

#define HALTERE_EXPORT extern "C" __attribute__((visibility("default")))

using namespace haltere::swarm;

namespace {

constexpr int kOk = 0, kPhysicsFailed = 1, kBadState = 2;

double thread_cpu_s() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct FreeData {
  void operator()(mjData* data) const { mj_deleteData(data); }
};

struct Counter {
  size_t bytes = 0;
  void operator()(void*, size_t count) { bytes += count; }
};

struct Writer {
  char* at;
  void operator()(void* field, size_t count) {
    if (count) std::memcpy(at, field, count);
    at += count;
  }
};

struct Reader {
  const char* at;
  const char* end;
  bool short_of_bytes = false;
  void operator()(void* field, size_t count) {
    if (static_cast<size_t>(end - at) < count) {
      short_of_bytes = true;
      std::memset(field, 0, count);
      return;
    }
    if (count) std::memcpy(field, at, count);
    at += count;
  }
};

}  // namespace

struct Swarm {
  Settings set;
  const mjModel* model;
  Pool pool;
  std::vector<World> worlds;
  std::vector<std::unique_ptr<mjData, FreeData>> data;  // one a thread; a world's state is loaded into it
  std::vector<std::vector<float>> scratch;
  double anneal = 1.0;

  Swarm(const Settings& settings, const mjModel* scene, int count, int threads)
      : set(settings), model(scene), pool(threads), worlds(count) {
    for (int thread = 0; thread < pool.size(); ++thread) {
      data.emplace_back(mj_makeData(model));
      scratch.emplace_back(normals_per_step(set));
    }
  }

  // Calls body(world, thread) for every world, a contiguous share for each thread.
  template <class Body>
  void each(const Body& body) {
    const int count = static_cast<int>(worlds.size());
    pool.run([&](int thread) {
      const int first = static_cast<int>(static_cast<long>(count) * thread / pool.size());
      const int last = static_cast<int>(static_cast<long>(count) * (thread + 1) / pool.size());
      for (int w = first; w < last; ++w) body(w, thread);
    });
  }
};

HALTERE_EXPORT const char* haltere_swarm_settings() {
#define HALTERE_NAME(name) #name " "
  return HALTERE_SWARM_INTS(HALTERE_NAME) HALTERE_SWARM_DOUBLES(HALTERE_NAME);
#undef HALTERE_NAME
}
HALTERE_EXPORT int haltere_swarm_mujoco_version() { return mjVERSION_HEADER; }

// Null where the machine has too little memory or too few threads for it.
HALTERE_EXPORT Swarm* haltere_swarm_create(const Settings* set, const void* model, int worlds, int threads) {
  try {
    return new Swarm(*set, static_cast<const mjModel*>(model), worlds, threads);
  } catch (const std::exception&) {
    return nullptr;
  }
}

HALTERE_EXPORT void haltere_swarm_destroy(Swarm* swarm) { delete swarm; }

HALTERE_EXPORT void haltere_swarm_set_anneal(Swarm* swarm, double anneal) { swarm->anneal = anneal; }

// Begins the episode of seeds[w] in every world, somewhere in its middle if stagger; obs is W x N x size.
HALTERE_EXPORT void haltere_swarm_reset(Swarm* swarm, const uint64_t* seeds, int stagger, float* obs) {
  const int stride = swarm->set.drones * observation_size(swarm->set);
  swarm->each([&](int w, int thread) {
    swarm->worlds[w].reset(swarm->set, seeds[w], stagger != 0);
    swarm->worlds[w].look(swarm->set, obs + static_cast<long>(w) * stride, swarm->scratch[thread].data());
  });
}

// One control step of every world. over[w]: 0 goes on, 1 ended, 2 ended and counts. Ended worlds have their last
// observation in final_obs, their metrics in metrics (W x N x kMetrics), and the next episode's first in obs.
// A world whose physics failed begins its next episode in training, where one lost episode is nothing; elsewhere the
// call fails.
HALTERE_EXPORT int haltere_swarm_step(Swarm* swarm, const float* action, float* obs, float* reward, uint8_t* over,
                                      float* final_obs, float* metric) {
  const Settings& set = swarm->set;
  const long n = set.drones, stride = n * observation_size(set);
  std::vector<uint8_t> failed(swarm->pool.size(), 0);
  swarm->each([&](int w, int thread) {
    World& world = swarm->worlds[w];
    float* scratch = swarm->scratch[thread].data();
    float* mine = obs + w * stride;
    const bool sound = world.step(set, swarm->model, swarm->data[thread].get(), action + w * 4 * n, swarm->anneal,
                                  mine, reward + w * n, scratch);
    if (!sound && !set.training) failed[thread] = 1;
    over[w] = 0;
    if (!world.over(set) && (sound || !set.training)) return;
    over[w] = world.counts() && sound ? 2 : 1;
    std::memcpy(final_obs + w * stride, mine, sizeof(float) * stride);
    metrics(world.episode(), set, metric + w * n * kMetrics);
    world.begin_next(set);
    world.look(set, mine, scratch);
  });
  for (uint8_t f : failed)
    if (f) return kPhysicsFailed;
  return kOk;
}

HALTERE_EXPORT long haltere_swarm_state_size(Swarm* swarm) {
  Counter counter;
  for (World& world : swarm->worlds) world.visit(swarm->set, counter);
  return static_cast<long>(counter.bytes);
}

HALTERE_EXPORT void haltere_swarm_state_get(Swarm* swarm, char* out) {
  Writer writer{out};
  for (World& world : swarm->worlds) world.visit(swarm->set, writer);
}

// Leaves the worlds as they were where the bytes aren't a possible state of them.
HALTERE_EXPORT int haltere_swarm_state_set(Swarm* swarm, const char* bytes, long count) {
  std::vector<World> worlds(swarm->worlds.size());
  Reader reader{bytes, bytes + count};
  for (World& world : worlds) {
    world.visit(swarm->set, reader);
    if (reader.short_of_bytes || !world.possible(swarm->set)) return kBadState;
  }
  if (reader.at != reader.end) return kBadState;
  swarm->worlds = std::move(worlds);
  return kOk;
}

// Poses (N x 13: position, quaternion w x y z, world velocity, body rate), goals (N x 3), cylinder axes (C x 2),
// contact now and contact that excludes success (N x 2) of one world; clock: its time [s], distance that counts as
// arrived [m].
HALTERE_EXPORT void haltere_swarm_snapshot(Swarm* swarm, int w, double* pose, float* goal, float* obstacle,
                                           uint8_t* contact, double* clock) {
  const Episode& episode = swarm->worlds[w].episode();
  for (int i = 0; i < swarm->set.drones; ++i) {
    std::memcpy(pose + 13 * i, &episode.qpos[7 * i], 7 * sizeof(double));
    std::memcpy(pose + 13 * i + 7, &episode.qvel[6 * i], 6 * sizeof(double));
    contact[2 * i] = episode.touch_drone[i] | episode.touch_obstacle[i];
    contact[2 * i + 1] = episode.hit_drone[i] | episode.hit_obstacle[i];
  }
  std::memcpy(goal, episode.goal.data(), episode.goal.size() * sizeof(float));
  if (swarm->set.obstacles) std::memcpy(obstacle, episode.obstacle.data(), episode.obstacle.size() * sizeof(float));
  clock[0] = episode.clock.tick * swarm->set.ctrl_dt_s;
  clock[1] = episode.clock.reached_m;
}

// Overwrites position, quaternion, velocity and rate (N x 13) and the motors' sqrt of thrust fraction (N x 4) of one
// world: for tests that start from a known state.
HALTERE_EXPORT void haltere_swarm_place(Swarm* swarm, int w, const double* pose, const float* motor) {
  Episode& episode = swarm->worlds[w].episode();
  for (int i = 0; i < swarm->set.drones; ++i) {
    std::memcpy(&episode.qpos[7 * i], pose + 13 * i, 7 * sizeof(double));
    std::memcpy(&episode.qvel[6 * i], pose + 13 * i + 7, 6 * sizeof(double));
  }
  std::memcpy(episode.motor.data(), motor, episode.motor.size() * sizeof(float));
}

// Bare physics, for comparison: `steps` control steps of mj_step alone on each world's present scene, drones held by
// a constant hover thrust. Leaves the worlds as they are. Returns CPU seconds over all threads.
HALTERE_EXPORT double haltere_swarm_bare(Swarm* swarm, int steps) {
  const Settings& set = swarm->set;
  std::vector<double> cpu_s(swarm->pool.size(), 0.0);
  swarm->each([&](int w, int thread) {
    mjData* data = swarm->data[thread].get();
    load(swarm->worlds[w].episode(), set, data);
    for (int i = 0; i < set.drones; ++i) {
      mju_zero(data->qfrc_applied + 6 * i, 6);
      data->qfrc_applied[6 * i + 2] = -set.mass_kg * swarm->model->opt.gravity[2];
    }
    const double begin_s = thread_cpu_s();
    for (int step = 0; step < steps * set.substeps; ++step) mj_step(swarm->model, data);
    cpu_s[thread] += thread_cpu_s() - begin_s;
  });
  double sum = 0.0;
  for (double seconds : cpu_s) sum += seconds;
  return sum;
}
