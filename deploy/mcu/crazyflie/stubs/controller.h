/* Declared for `make check`; the firmware brings its own. */
#ifndef STUB_CONTROLLER_H
#define STUB_CONTROLLER_H

#include <stdbool.h>

#include "stabilizer_types.h"

void controllerOutOfTreeInit(void);
bool controllerOutOfTreeTest(void);
void controllerOutOfTree(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors,
                         const state_t *state, const stabilizerStep_t stabilizerStep);

#endif
