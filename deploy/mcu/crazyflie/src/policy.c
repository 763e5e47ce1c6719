/* Where the firmware's build looks for it. */
#include "../../policy.c"
