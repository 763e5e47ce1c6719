$about
#ifndef HALTERE_POLICY_H
#define HALTERE_POLICY_H

#ifdef __cplusplus
extern "C" {
#endif

#define HALTERE_TASK $task
#define HALTERE_POLICY $policy
#define HALTERE_VERSION $version
#define HALTERE_WEIGHTS $weights /* SHA-256 of the trained weights */
#define HALTERE_CTRL_DT_S $period /* control period [s]: call haltere_policy once in each */
#define HALTERE_ACTIONS $actions
#define HALTERE_ACTION_LOW $low
#define HALTERE_ACTION_HIGH $high
#define HALTERE_LARGEST $largest /* largest magnitude of an observation, in its own unit */

/* What the policy senses. Arrays are row-major; units and frames are those that it was trained on. */
typedef struct {
$observation
} haltere_observation;

typedef struct {
$output
} haltere_output;

$proof

/* One control step. Keeps nothing between calls and takes no memory but its stack, so that several tasks may call it at
 * once. It always takes the same path, but for the far ends of tanh. Whatever it is given, the action is within its
 * bounds: what isn't a number becomes the lower bound. obs and out mustn't overlap. */
void haltere_policy(const haltere_observation *obs, haltere_output *out);

/* 1 where every number of an observation is finite and at most HALTERE_LARGEST in magnitude, otherwise 0. Ask before
 * haltere_policy: what a drone should do without its sensors is for the firmware to say, not for the policy. */
int haltere_observation_ok(const haltere_observation *obs);

#ifdef __cplusplus
}
#endif

#endif
