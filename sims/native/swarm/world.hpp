// One world: its present episode, its clips of collisions for replay, and where its next episodes come from.
#pragma once

#include <algorithm>
#include <vector>

#include "episode.hpp"
#include "flight.hpp"

namespace haltere::swarm {

// Replay of clipped collision episodes. Source: the swarm paper, section IV-C, constants of its published code.
constexpr double kClipEvery_s = 0.5, kClipPause_s = 5.0;
constexpr int kClips = 6, kClipUsed = 3, kMostReplays = 10, kJudgedEpisodes = 10;
constexpr double kFloorShare = 200.0 / 1500.0;  // of an episode: a summed floor cost of 1 at the published weights

struct Clip {
  Episode episode;
  int32_t uses = 0;
};

class World {
 public:
  void reset(const Settings& set, uint64_t seed, bool stagger);
  // Returns false if the physics failed. action: 4N in [-1, 1]; reward: N. scratch: room for every normal of a step.
  bool step(const Settings& set, const mjModel* model, mjData* data, const float* action, double anneal, float* obs,
            float* reward, float* scratch);
  bool over(const Settings& set) const { return episode_.clock.tick >= set.episode_steps; }
  // Whether the finished episode counts: whole, and not a replay.
  bool counts() const { return !episode_.clock.partial && !episode_.clock.replayed; }
  void begin_next(const Settings& set);
  void look(const Settings& set, float* obs, float* scratch);

  const Episode& episode() const { return episode_; }
  Episode& episode() { return episode_; }

  template <class Visitor>
  void visit(const Settings& set, Visitor&& visitor);

  // Whether every number that indexes, divides or is integrated is one that stepping can lead to.
  bool possible(const Settings& set) const;

 private:
  void remember(const Settings& set, const Touches& touches);

  Episode episode_;
  EventStream events_{};
  std::vector<Episode> clips_;  // the last kClips, oldest first
  std::vector<Clip> stored_;
  int32_t next_stored_ = 0;
  int32_t episodes_ = 0;
  double floor_share_ = 0.0;
  int32_t replaying_ = 0;
};

// Normals that one step of a world consumes, rounded up to what the noise stream makes at a time.
inline int normals_per_step(const Settings& set) {
  const int needed = set.drones * (4 + 9), block = 2 * NoiseStream::kLanes;
  return (needed + block - 1) / block * block;
}

// visitor(bytes, count) on every field; vectors of snapshots first pass their length so that loading can resize.
template <class Visitor>
void World::visit(const Settings& set, Visitor&& visitor) {
  int32_t clips = static_cast<int32_t>(clips_.size()), stored = static_cast<int32_t>(stored_.size());
  visitor(&clips, sizeof clips);
  visitor(&stored, sizeof stored);
  auto sized = [&](Episode& episode) {
    episode.resize(set);
    episode.visit(visitor);
  };
  sized(episode_);
  visitor(&events_, sizeof events_);
  // A damaged length never allocates: the byte count then doesn't match, and the caller refuses the state.
  clips_.resize(std::clamp(clips, 0, kClips));
  for (Episode& clip : clips_) sized(clip);
  stored_.resize(std::clamp(stored, 0, static_cast<int32_t>(set.replay_capacity)));
  for (Clip& clip : stored_) {
    visitor(&clip.uses, sizeof clip.uses);
    sized(clip.episode);
  }
  for (auto* number : {&next_stored_, &episodes_, &replaying_}) visitor(number, sizeof *number);
  visitor(&floor_share_, sizeof floor_share_);
}

}  // namespace haltere::swarm
