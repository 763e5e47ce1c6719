/* Prints what the policy answers, bit by bit, and the clock's ticks that REPEATS calls took. */
#include <stdint.h>

#include "observation.h"
#include "policy.h"

enum { ANSWERED = sizeof(haltere_output) / sizeof(float), REPEATS = 32 };

void print(const char *text);

static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010; /* control, reload, value */
static haltere_output out;

static void print_hex(uint32_t value) {
  char text[] = "00000000 ";
  for (int i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
  print(text);
}

int main(void) {
  haltere_policy(&observation, &out);
  for (int i = 0; i < ANSWERED; ++i) {
    uint32_t bits = 0;
    for (unsigned byte = 0; byte < 4; ++byte) bits |= (uint32_t)((const uint8_t *)&out)[4 * i + byte] << 8 * byte;
    print_hex(bits);
  }
  systick[1] = 0xFFFFFF;
  systick[2] = 0;
  systick[0] = 5; /* on, from the processor's clock */
  const uint32_t before = systick[2];
  for (int i = 0; i < REPEATS; ++i) haltere_policy(&observation, &out);
  const uint32_t after = systick[2];
  print_hex((before - after) & 0xFFFFFF);
  return 0;
}
