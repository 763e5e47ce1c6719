/* An out-of-tree controller for the Crazyflie's app layer: the state estimate in the policy's units and frames, the
 * policy, one thrust for each motor. It compiles; it has not flown. ../README.md says what is missing on board. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "FreeRTOS.h"
#include "app.h"
#include "controller.h"
#include "platform_defaults.h"
#include "stabilizer_types.h"
#include "task.h"

#include "../../policy.h"
#include "haltere_controller.h"

#define FULL_THRUST_N @FULL_THRUST_N@ /* of one motor at action +1, in the simulator that the policy was trained in */
#define RADIANS 0.0174532925f             /* in a degree */
#define FAR_M 10.0f                       /* what an absent neighbour or cylinder reads */
#define FASTEST_MPS 6.0f                  /* clip of relative velocities */
#define NEAREST_M 0.01f                   /* keeps the direction to a touching neighbour defined */
#define GRID_PITCH_M 0.1f

enum {
  NEIGHBOURS = sizeof(((haltere_observation *)0)->neighbour) / sizeof(float[6]),
  HELD_PERIODS = 3, /* how long the last action goes on without a good observation; then the motors stop */
  STALE_MS = 500    /* a peer that was last heard longer ago isn't there */
};

typedef char one_action_for_each_motor[HALTERE_ACTIONS == STABILIZER_NR_OF_MOTORS ? 1 : -1];

static struct {
  float position[3], velocity[3]; /* [m], [m/s], world frame */
  uint32_t heard_ms;
  bool known;
} peers[HALTERE_PEERS];

static haltere_observation obs;
static haltere_output out;
static float forces[STABILIZER_NR_OF_MOTORS]; /* as a fraction of what the firmware takes for a motor's most */
static int periods_without;

/* ---- what others tell the controller -------------------------------------------------------------------------- */

void haltereTellPeer(uint8_t peer, const float position_m[3], const float velocity_mps[3]) {
  if (peer >= HALTERE_PEERS) return;
  taskENTER_CRITICAL(); /* the stabilizer's task would see half of a position */
  for (int i = 0; i < 3; ++i) {
    peers[peer].position[i] = position_m[i];
    peers[peer].velocity[i] = velocity_mps[i];
  }
  peers[peer].heard_ms = xTaskGetTickCount();
  peers[peer].known = true;
  taskEXIT_CRITICAL();
}

__attribute__((weak)) float haltereSurfaceDistance(float x_m, float y_m) {
  (void)x_m;
  (void)y_m;
  return FAR_M;
}

/* ---- the observation ------------------------------------------------------------------------------------------ */

static float clip(float x, float limit) { return x > limit ? limit : (x < -limit ? -limit : x); }

/* From body to world, row by row. */
static void rotation(const quaternion_t *q, float *r) {
  const float x = q->x, y = q->y, z = q->z, w = q->w;
  r[0] = 1.0f - 2.0f * (y * y + z * z);
  r[1] = 2.0f * (x * y - z * w);
  r[2] = 2.0f * (x * z + y * w);
  r[3] = 2.0f * (x * y + z * w);
  r[4] = 1.0f - 2.0f * (x * x + z * z);
  r[5] = 2.0f * (y * z - x * w);
  r[6] = 2.0f * (x * z - y * w);
  r[7] = 2.0f * (y * z + x * w);
  r[8] = 1.0f - 2.0f * (x * x + y * y);
}

static void sense_self(const setpoint_t *setpoint, const sensorData_t *sensors, const state_t *state) {
  float *const self = obs.self;
  self[0] = state->position.x - setpoint->position.x;
  self[1] = state->position.y - setpoint->position.y;
  self[2] = state->position.z - setpoint->position.z;
  self[3] = state->velocity.x;
  self[4] = state->velocity.y;
  self[5] = state->velocity.z;
  rotation(&state->attitudeQuaternion, self + 6);
  self[15] = sensors->gyro.x * RADIANS;
  self[16] = sensors->gyro.y * RADIANS;
  self[17] = sensors->gyro.z * RADIANS;
  self[18] = state->position.z;
}

/* The distance one second ahead to a peer that keeps its speed along the line between the two; far where absent. */
static float relative(int peer, const state_t *state, uint32_t now_ms, float *x) {
  const float me[6] = {state->position.x, state->position.y, state->position.z,
                       state->velocity.x, state->velocity.y, state->velocity.z};
  if (!peers[peer].known || now_ms - peers[peer].heard_ms > STALE_MS) return INFINITY;
  float squared = 0.0f, closing = 0.0f;
  for (int i = 0; i < 3; ++i) {
    x[i] = peers[peer].position[i] - me[i];
    x[3 + i] = peers[peer].velocity[i] - me[3 + i];
    squared += x[i] * x[i];
    closing += x[i] * x[3 + i];
  }
  const float length = sqrtf(squared), distance = length > NEAREST_M ? length : NEAREST_M;
  return distance + closing / distance;
}

/* The most urgent first, as in training. */
static void sense_neighbours(const state_t *state, uint32_t now_ms) {
  float urgency[HALTERE_PEERS], seen[HALTERE_PEERS][6];
  for (int peer = 0; peer < HALTERE_PEERS; ++peer) urgency[peer] = relative(peer, state, now_ms, seen[peer]);
  for (int slot = 0; slot < NEIGHBOURS; ++slot) {
    int first = 0;
    for (int peer = 1; peer < HALTERE_PEERS; ++peer) first = urgency[peer] < urgency[first] ? peer : first;
    const bool absent = !(urgency[first] < INFINITY);
    for (int i = 0; i < 3; ++i) {
      obs.neighbour[slot][i] = absent ? FAR_M : clip(seen[first][i], FAR_M);
      obs.neighbour[slot][3 + i] = absent ? 0.0f : clip(seen[first][3 + i], FASTEST_MPS);
    }
    urgency[first] = INFINITY;
  }
}

/* The grid lies along the world's axes; x is its slow one. */
static void sense_obstacles(const state_t *state) {
  for (int i = 0; i < 9; ++i) {
    const float x = state->position.x + GRID_PITCH_M * (float)(i / 3 - 1);
    const float y = state->position.y + GRID_PITCH_M * (float)(i % 3 - 1);
    const float distance = haltereSurfaceDistance(x, y);
    obs.obstacle[i] = distance > FAR_M ? FAR_M : distance;
  }
}

/* ---- the controller ------------------------------------------------------------------------------------------- */

static bool has_goal(const setpoint_t *setpoint) {
  return setpoint->mode.x == modeAbs && setpoint->mode.y == modeAbs && setpoint->mode.z == modeAbs;
}

static void stop_motors(void) {
  for (int i = 0; i < STABILIZER_NR_OF_MOTORS; ++i) forces[i] = 0.0f;
}

static void decide(const setpoint_t *setpoint, const sensorData_t *sensors, const state_t *state) {
  if (!has_goal(setpoint)) {
    stop_motors();
    return;
  }
  sense_self(setpoint, sensors, state);
  sense_neighbours(state, xTaskGetTickCount());
  sense_obstacles(state);
  if (!haltere_observation_ok(&obs)) {
    if (++periods_without > HELD_PERIODS) stop_motors();
    return;
  }
  periods_without = 0;
  haltere_policy(&obs, &out);
  /* More than the firmware's most is clipped to it in its power distribution. */
  for (int i = 0; i < STABILIZER_NR_OF_MOTORS; ++i) {
    forces[i] = 0.5f * (out.action[i] + 1.0f) * (FULL_THRUST_N / THRUST_MAX);
  }
}

void controllerOutOfTreeInit(void) {
  periods_without = 0;
  stop_motors();
}

/* The policy answers a drone that stands level on the floor, 1 m below its goal, with thrusts. */
bool controllerOutOfTreeTest(void) {
  const setpoint_t setpoint = {.position = {.z = 1.0f}, .mode = {.x = modeAbs, .y = modeAbs, .z = modeAbs}};
  const state_t state = {.attitudeQuaternion = {.w = 1.0f}};
  const sensorData_t sensors = {.gyro = {.x = 0.0f}};
  decide(&setpoint, &sensors, &state);
  bool good = true;
  for (int i = 0; i < STABILIZER_NR_OF_MOTORS; ++i) good = good && forces[i] >= 0.0f && forces[i] <= 2.0f;
  stop_motors();
  return good;
}

void controllerOutOfTree(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors,
                         const state_t *state, const stabilizerStep_t stabilizerStep) {
  const uint32_t period = (uint32_t)(HALTERE_CTRL_DT_S * (float)RATE_MAIN_LOOP + 0.5f); /* in steps of the stabilizer */
  if (stabilizerStep % period == 0) decide(setpoint, sensors, state);
  control->controlMode = controlModeForce;
  for (int i = 0; i < STABILIZER_NR_OF_MOTORS; ++i) control->normalizedForces[i] = forces[i];
}

void appMain(void) {
  for (;;) vTaskDelay(M2T(1000)); /* the stabilizer calls the controller; the app's own task has nothing to do */
}
