/* Golden vectors: what the trained network answers in float64. Run by `make test`; 0 where all is well. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

#define TOLERANCE $tolerance /* relative to max(1, the answer) */

static const struct {
  haltere_observation obs;
  haltere_output out;
} golden[] = {
$vectors
};

enum {
  VECTORS = sizeof golden / sizeof golden[0],
  SENSED = sizeof(haltere_observation) / sizeof(float),
  ANSWERED = sizeof(haltere_output) / sizeof(float)
};

static float largest_error(const haltere_output *got, const haltere_output *wanted) {
  float a[ANSWERED], b[ANSWERED], worst = 0.0f;
  memcpy(a, got, sizeof a);
  memcpy(b, wanted, sizeof b);
  for (int i = 0; i < ANSWERED; ++i) {
    const float error = fabsf(a[i] - b[i]) / fmaxf(1.0f, fabsf(b[i]));
    if (!(error <= worst)) worst = error; /* NaN too */
  }
  return worst;
}

static int within_bounds(const haltere_output *out) {
  static const float low[HALTERE_ACTIONS] = HALTERE_ACTION_LOW, high[HALTERE_ACTIONS] = HALTERE_ACTION_HIGH;
  for (int i = 0; i < HALTERE_ACTIONS; ++i) {
    if (!(out->action[i] >= low[i] && out->action[i] <= high[i])) return 0;
  }
  return 1;
}

/* An observation with one number that no sensor gives is told from a good one, and the action stays in its bounds. */
static int survives(float hostile) {
  for (int i = 0; i < SENSED; ++i) {
    haltere_observation obs = golden[0].obs;
    haltere_output out;
    memcpy((char *)&obs + sizeof hostile * (size_t)i, &hostile, sizeof hostile);
    haltere_policy(&obs, &out);
    if (haltere_observation_ok(&obs) || !within_bounds(&out)) {
      printf("number %d of the observation set to %g: not noticed, or an action out of bounds\n", i, (double)hostile);
      return 0;
    }
  }
  return 1;
}

int main(void) {
  float worst = 0.0f;
  int good = 1;
  for (int i = 0; i < VECTORS; ++i) {
    haltere_output out;
    haltere_policy(&golden[i].obs, &out);
    const float error = largest_error(&out, &golden[i].out);
    if (!(error <= worst)) worst = error;
    if (!(error <= TOLERANCE)) printf("vector %d is off by %g\n", i, (double)error);
    good &= error <= TOLERANCE && within_bounds(&out) && haltere_observation_ok(&golden[i].obs);
  }
  good &= survives(NAN) && survives(INFINITY) && survives(-INFINITY) && survives(3.4e38f);
  printf("%s, weights %.12s: %d golden vectors, largest error %.1e (at most %.0e): %s\n", HALTERE_TASK, HALTERE_WEIGHTS,
         (int)VECTORS, (double)worst, (double)TOLERANCE, good ? "ok" : "FAILED");
  return !good;
}
