// What the drones sense and what they are paid, in one pass over a world.
#pragma once

#include "episode.hpp"
#include "flight.hpp"

namespace haltere::swarm {

constexpr int kSelf = 19, kGrid = 9;
constexpr int kNoisePerDrone = 9;  // position, velocity, gyro

inline int observation_size(const Settings& set) { return kSelf + 6 * set.neighbours + kGrid; }

// Writes N observations, drone by drone: self 19, neighbours 6K, grid 9. normals: kNoisePerDrone * N.
void observe(const Episode& episode, const Settings& set, const float* normals, float* out);

// Counts contacts, pays rewards (N) and updates the episode's counters. anneal in [0, 1] scales the contact terms.
void settle_accounts(Episode& episode, const Settings& set, const Touches& touches, const float* action, double anneal,
                     float* reward);

constexpr int kMetrics = 8;
// success, collision, drone contact, obstacle contact, room contact, deadlock, goal distance [m], path [m].
void metrics(const Episode& episode, const Settings& set, float* out);

}  // namespace haltere::swarm
