/* Declared for `make check`; the firmware brings its own. */
#ifndef STUB_FREERTOS_H
#define STUB_FREERTOS_H

#include <stdint.h>

#define M2T(milliseconds) ((uint32_t)(milliseconds))

#endif
