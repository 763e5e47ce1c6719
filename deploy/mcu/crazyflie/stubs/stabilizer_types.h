/* Declared for `make check`, as far as the controller looks; the firmware brings its own. Names, units and meaning are
 * those of crazyflie-firmware 2a18fc2 of August 2026. */
#ifndef STUB_STABILIZER_TYPES_H
#define STUB_STABILIZER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define STABILIZER_NR_OF_MOTORS 4
#define RATE_MAIN_LOOP 1000 /* steps a second */

typedef uint32_t stabilizerStep_t;

typedef struct {
  uint32_t timestamp;
  float x, y, z;
} point_t, velocity_t;

typedef struct {
  float x, y, z, w; /* from body to world */
} quaternion_t;

typedef struct {
  float x, y, z;
} Axis3f;

typedef struct {
  Axis3f acc;  /* [g] */
  Axis3f gyro; /* [deg/s] */
} sensorData_t;

typedef struct {
  quaternion_t attitudeQuaternion;
  point_t position;    /* [m] */
  velocity_t velocity; /* [m/s] */
} state_t;

typedef enum { controlModeLegacy = 0, controlModeForceTorque = 1, controlModeForce = 2 } control_mode_t;

typedef struct {
  float normalizedForces[STABILIZER_NR_OF_MOTORS]; /* 0 to 1 of THRUST_MAX */
  control_mode_t controlMode;
} control_t;

typedef enum { modeDisable = 0, modeAbs, modeVelocity } stab_mode_t;

typedef struct {
  stab_mode_t x, y, z;
} setpoint_mode_t;

typedef struct {
  point_t position; /* [m] */
  setpoint_mode_t mode;
} setpoint_t;

#endif
