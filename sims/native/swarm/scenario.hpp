// Where cylinders, starts and goals are, and how goals move.
#pragma once

#include "episode.hpp"

namespace haltere::swarm {

// Draws a new episode from its seed: layout, starts, goals; clears every counter.
void begin(Episode& episode, const Settings& set, uint64_t seed);

// Moves the goals of the scenarios in which they move. Call once a control step, after the tick was counted.
void move_goals(Episode& episode, const Settings& set);

}  // namespace haltere::swarm
