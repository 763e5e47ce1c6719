/* Declared for `make check`; the firmware brings its own. */
#ifndef STUB_TASK_H
#define STUB_TASK_H

#include <stdint.h>

void taskENTER_CRITICAL(void);
void taskEXIT_CRITICAL(void);
uint32_t xTaskGetTickCount(void); /* [ms] */
void vTaskDelay(uint32_t ticks);

#endif
