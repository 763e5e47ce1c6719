/* See policy.h. C99, float alone, weights const; needs sqrtf from the math library, which -fno-math-errno turns into
 * one instruction. With -std=c99, -ffp-contract=fast lets the compiler use a fused multiply-add. Never -ffast-math:
 * the checks for NaN would go. */
#include "policy.h"

#include <math.h>

/* Not a number becomes the lower bound, because no comparison with it is true. */
static void hold_within_bounds(float *action) {
  static const float low[HALTERE_ACTIONS] = HALTERE_ACTION_LOW, high[HALTERE_ACTIONS] = HALTERE_ACTION_HIGH;
  for (int i = 0; i < HALTERE_ACTIONS; ++i) {
    const float x = action[i] > low[i] ? action[i] : low[i];
    action[i] = x < high[i] ? x : high[i];
  }
}

int haltere_observation_ok(const haltere_observation *obs) {
  const float *x = (const float *)(const void *)obs; /* one float after the other, without gaps */
  for (unsigned i = 0; i < sizeof *obs / sizeof *x; ++i) {
    if (!(x[i] >= -HALTERE_LARGEST && x[i] <= HALTERE_LARGEST)) return 0;
  }
  return 1;
}

$code
