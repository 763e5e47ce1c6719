/* Runs lanes one after the other, for tests and simulation on the host. Returns the first lane whose observation isn't
 * ok, before any lane is run, or -1. */
#include "policy.h"

long haltere_lanes(long lanes, const haltere_observation *obs, haltere_output *out) {
  for (long i = 0; i < lanes; ++i) {
    if (!haltere_observation_ok(&obs[i])) return i;
  }
  for (long i = 0; i < lanes; ++i) haltere_policy(&obs[i], &out[i]);
  return -1;
}

void haltere_lanes_unchecked(long lanes, const haltere_observation *obs, haltere_output *out) {
  for (long i = 0; i < lanes; ++i) haltere_policy(&obs[i], &out[i]);
}
