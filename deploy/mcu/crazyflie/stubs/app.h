/* Declared for `make check`; the firmware brings its own. */
#ifndef STUB_APP_H
#define STUB_APP_H

void appMain(void);

#endif
