#include "world.hpp"

#include <algorithm>
#include <cmath>

#include "scenario.hpp"
#include "sense.hpp"

namespace haltere::swarm {

namespace {

bool possible_episode(const Episode& episode, const Settings& set) {
  const EpisodeClock& clock = episode.clock;
  const auto finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  };
  return clock.tick >= 0 && clock.tick <= set.episode_steps && clock.scenario >= kRandom && clock.scenario <= kMoving &&
         clock.period_steps >= 1 && finite(episode.qpos) && finite(episode.qvel) && finite(episode.warmstart);
}

}  // namespace

bool World::possible(const Settings& set) const {
  return possible_episode(episode_, set) && next_stored_ >= 0 && next_stored_ < set.replay_capacity &&
         std::all_of(clips_.begin(), clips_.end(), [&](const Episode& clip) { return possible_episode(clip, set); }) &&
         std::all_of(stored_.begin(), stored_.end(),
                     [&](const Clip& clip) { return possible_episode(clip.episode, set); });
}

void World::reset(const Settings& set, uint64_t seed, bool stagger) {
  clips_.clear();
  stored_.clear();
  next_stored_ = episodes_ = replaying_ = 0;
  floor_share_ = 0.0;
  begin(episode_, set, seed);
  events_.seed(seed ^ 0x5851f42d4c957f2dull);
  if (stagger) {
    episode_.clock.tick = static_cast<int32_t>(events_.below(set.episode_steps));
    episode_.clock.partial = episode_.clock.tick > 0;
  }
}

bool World::step(const Settings& set, const mjModel* model, mjData* data, const float* action, double anneal,
                 float* obs, float* reward, float* scratch) {
  const int n = set.drones;
  float clipped[4 * kMaxDrones], command[4 * kMaxDrones];
  for (int i = 0; i < 4 * n; ++i) {
    clipped[i] = std::clamp(action[i], -1.0f, 1.0f);
    command[i] = 0.5f * (clipped[i] + 1.0f);
  }
  EpisodeClock& clock = episode_.clock;
  clock.noise.normals(scratch, normals_per_step(set));
  Touches touches;
  const bool sound = fly(episode_, set, model, data, command, scratch, touches);
  ++clock.tick;
  settle_accounts(episode_, set, touches, clipped, anneal, reward);
  move_goals(episode_, set);
  if (set.training) remember(set, touches);  // last, so that a clip is the world as its next step will find it
  observe(episode_, set, scratch + 4 * n, obs);
  return sound;
}

void World::look(const Settings& set, float* obs, float* scratch) {
  episode_.clock.noise.normals(scratch, normals_per_step(set));
  observe(episode_, set, scratch + 4 * set.drones, obs);
}

void World::remember(const Settings& set, const Touches& touches) {
  EpisodeClock& clock = episode_.clock;
  if (clock.replayed || clock.partial) return;
  const bool hit = std::any_of(touches.drone, touches.drone + set.drones, [](uint8_t t) { return t; }) ||
                   std::any_of(touches.obstacle, touches.obstacle + set.drones, [](uint8_t t) { return t; });
  const double time_s = clock.tick * set.ctrl_dt_s;
  const bool due = (clock.tick - clock.last_saved_tick) * set.ctrl_dt_s >= kClipPause_s;
  if (replaying_ && hit && time_s > set.grace_s && due && static_cast<int>(clips_.size()) >= kClipUsed) {
    clock.last_saved_tick = clock.tick;
    Clip clip{clips_[clips_.size() - kClipUsed], 0};
    if (static_cast<int>(stored_.size()) < set.replay_capacity) stored_.push_back(std::move(clip));
    else stored_[next_stored_] = std::move(clip);
    next_stored_ = (next_stored_ + 1) % set.replay_capacity;
  }
  if (clock.tick % static_cast<int>(kClipEvery_s / set.ctrl_dt_s) != 0) return;
  if (static_cast<int>(clips_.size()) == kClips) std::rotate(clips_.begin(), clips_.begin() + 1, clips_.end());
  else clips_.emplace_back();
  clips_.back() = episode_;
}

void World::begin_next(const Settings& set) {
  if (set.training && !episode_.clock.replayed && !episode_.clock.partial && !replaying_) {
    ++episodes_;
    floor_share_ += (static_cast<double>(episode_.clock.floor_steps) / set.episode_steps - floor_share_) /
                    std::min(episodes_, kJudgedEpisodes);
    replaying_ = episodes_ >= kJudgedEpisodes && floor_share_ < kFloorShare;
  }
  clips_.clear();
  if (set.training && !stored_.empty() && events_.uniform() < set.replay_probability) {
    const uint64_t chosen = events_.below(stored_.size());
    episode_ = stored_[chosen].episode;
    episode_.clock.replayed = 1;
    episode_.clock.events.seed(events_.bits());
    episode_.clock.noise.seed(events_.bits());
    if (++stored_[chosen].uses >= kMostReplays) {
      stored_.erase(stored_.begin() + static_cast<long>(chosen));
      next_stored_ = static_cast<int32_t>(stored_.size()) % set.replay_capacity;
    }
    return;
  }
  begin(episode_, set, events_.below(static_cast<uint64_t>(set.first_held_out_seed)));
}

}  // namespace haltere::swarm
