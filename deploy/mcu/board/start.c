/* From reset to main on a Cortex-M4F, and a way to print through the debugger (Arm semihosting). */
#include <stdint.h>

extern uint32_t data_source[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
int main(void);
void reset(void);

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, STOPPED = 0x20026, CRASHED = 0x20023 };

static void semihost(uint32_t call, const void *argument) {
  register uint32_t r0 __asm__("r0") = call;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text) { semihost(SYS_WRITE0, text); }

void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the floating point unit is off after reset */
  __asm__ volatile("dsb\n isb");
  const uint32_t *from = data_source;
  for (uint32_t *to = data_begin; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_begin; to < bss_end;) *to++ = 0;
  main();
  semihost(SYS_EXIT, (const void *)STOPPED);
  for (;;) {
  }
}

static void fault(void) {
  print("fault\n");
  semihost(SYS_EXIT, (const void *)CRASHED);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
