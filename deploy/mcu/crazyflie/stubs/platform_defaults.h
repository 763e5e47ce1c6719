/* Declared for `make check`; the firmware brings its own. */
#ifndef STUB_PLATFORM_DEFAULTS_H
#define STUB_PLATFORM_DEFAULTS_H

#define THRUST_MAX 0.12f /* of one motor [N]: a Crazyflie 2.x without the thrust upgrade */

#endif
