/* The firmware around the Crazyflie's controller, as far as a test needs it. */
#include "FreeRTOS.h"
#include "controller.h"
#include "haltere_controller.h"
#include "task.h"

static uint32_t now_ms;
static float cylinder_x, cylinder_y, cylinder_radius;
static int entered;

void taskENTER_CRITICAL(void) { ++entered; }
void taskEXIT_CRITICAL(void) { --entered; }
uint32_t xTaskGetTickCount(void) { return now_ms; }
void vTaskDelay(uint32_t ticks) { (void)ticks; }

float twin_distance(float x, float y) {
  const float dx = x - cylinder_x, dy = y - cylinder_y;
  return __builtin_sqrtf(dx * dx + dy * dy) - cylinder_radius;
}

float haltereSurfaceDistance(float x, float y) { return cylinder_radius > 0.0f ? twin_distance(x, y) : 10.0f; }

void twin_time(uint32_t milliseconds) { now_ms = milliseconds; }

void twin_cylinder(float x, float y, float radius) {
  cylinder_x = x;
  cylinder_y = y;
  cylinder_radius = radius;
}

/* state: position, velocity, quaternion x y z w, gyro [deg/s]; returns whether the controller left a critical section. */
int twin_fly(const float *state, const float *goal, int has_goal, uint32_t step, float *forces, int *mode) {
  static control_t control;
  const stab_mode_t set = has_goal ? modeAbs : modeDisable;
  const setpoint_t setpoint = {.position = {.x = goal[0], .y = goal[1], .z = goal[2]}, .mode = {set, set, set}};
  const state_t estimate = {.position = {.x = state[0], .y = state[1], .z = state[2]},
                            .velocity = {.x = state[3], .y = state[4], .z = state[5]},
                            .attitudeQuaternion = {.x = state[6], .y = state[7], .z = state[8], .w = state[9]}};
  const sensorData_t sensors = {.gyro = {.x = state[10], .y = state[11], .z = state[12]}};
  controllerOutOfTree(&control, &setpoint, &sensors, &estimate, step);
  for (int i = 0; i < STABILIZER_NR_OF_MOTORS; ++i) forces[i] = control.normalizedForces[i];
  *mode = control.controlMode;
  return entered == 0;
}
