// Heap allocations, counted in the process that is measured and without starting another one.
//
// A library reaches malloc through a slot in a table of its own that the dynamic linker filled in (ELF, System V ABI,
// chapter 5, "Dynamic Linking"). We visit every loaded library and put a function that counts into those slots, then
// put back what was there. An LD_PRELOAD would do the same from the start of a process; here the very runtimes that
// were timed are counted, and while they are timed nothing is in their way.
#include "bench.h"

#define HALTERE_EXPORT __attribute__((visibility("default")))

#if defined(__linux__) && defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr uint32_t kCall = R_X86_64_JUMP_SLOT, kAddress = R_X86_64_GLOB_DAT, kPointer = R_X86_64_64;
#else
constexpr uint32_t kCall = R_AARCH64_JUMP_SLOT, kAddress = R_AARCH64_GLOB_DAT, kPointer = R_AARCH64_ABS64;
#endif

// The C library's own functions, found once before anything is changed.
struct Allocator {
  void* (*malloc)(size_t);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  void* (*memalign)(size_t, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*valloc)(size_t);
  void* (*pvalloc)(size_t);
} real;

// Other threads pass through here as well; only the one that asked is counted, so the count needs no lock. No
// thread_local: its first use on a thread may itself allocate.
std::atomic<bool> counting = false;
pthread_t counted_thread;
int64_t count = 0;

void note() {
  if (counting.load(std::memory_order_acquire) && pthread_equal(pthread_self(), counted_thread)) ++count;
}

void* counted_malloc(size_t bytes) {
  note();
  return real.malloc(bytes);
}
void* counted_calloc(size_t items, size_t bytes) {
  note();
  return real.calloc(items, bytes);
}
void* counted_realloc(void* old, size_t bytes) {
  note();
  return real.realloc(old, bytes);
}
void* counted_aligned_alloc(size_t alignment, size_t bytes) {
  note();
  return real.aligned_alloc(alignment, bytes);
}
void* counted_memalign(size_t alignment, size_t bytes) {
  note();
  return real.memalign(alignment, bytes);
}
int counted_posix_memalign(void** out, size_t alignment, size_t bytes) {
  note();
  return real.posix_memalign(out, alignment, bytes);
}
void* counted_valloc(size_t bytes) {
  note();
  return real.valloc(bytes);
}
void* counted_pvalloc(size_t bytes) {
  note();
  return real.pvalloc(bytes);
}

struct Function {
  const char* name;
  void** real;
  void* counted;
};

template <class T>
Function function(const char* name, T*& real, T* counted) {
  return {name, reinterpret_cast<void**>(&real), reinterpret_cast<void*>(counted)};
}

const Function kFunctions[] = {
    function("malloc", real.malloc, counted_malloc),
    function("calloc", real.calloc, counted_calloc),
    function("realloc", real.realloc, counted_realloc),
    function("aligned_alloc", real.aligned_alloc, counted_aligned_alloc),
    function("memalign", real.memalign, counted_memalign),
    function("posix_memalign", real.posix_memalign, counted_posix_memalign),
    function("valloc", real.valloc, counted_valloc),
    function("pvalloc", real.pvalloc, counted_pvalloc),
};

struct Slot {
  void** at;
  void* value;
};

struct Region {
  uintptr_t start = 0, end = 0;

  bool holds(const void* at) const {
    const auto address = reinterpret_cast<uintptr_t>(at);
    return start <= address && address < end;
  }
  bool allow(int protection) const { return mprotect(reinterpret_cast<void*>(start), end - start, protection) == 0; }
};

struct Library {
  uintptr_t base = 0;
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  const ElfW(Rela)* tables[2] = {nullptr, nullptr};
  size_t sizes[2] = {0, 0};
  std::vector<Region> writable;
  Region sealed;  // whole pages that the linker made read-only after it had filled them in (RELRO), or none

  bool holds(const void* at) const {
    for (const Region& region : writable)
      if (region.holds(at)) return true;
    return false;
  }

  void write(const std::vector<Slot>& slots) const {
    bool opened = false;
    for (const Slot& slot : slots) {
      if (sealed.holds(slot.at) && !opened && !(opened = sealed.allow(PROT_READ | PROT_WRITE))) continue;
      __atomic_store_n(slot.at, slot.value, __ATOMIC_RELAXED);
    }
    if (opened) sealed.allow(PROT_READ);
  }
};

std::vector<Slot> originals;  // what was changed, and what it was

void read_dynamic(const ElfW(Dyn)* dynamic, Library& library) {
  // The linker has turned these into addresses, except in what the kernel maps, which stays as it was built.
  auto address = [&](uintptr_t value) { return value < library.base ? library.base + value : value; };
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    const uintptr_t value = dynamic->d_un.d_val;
    switch (dynamic->d_tag) {
      case DT_SYMTAB: library.symbols = reinterpret_cast<const ElfW(Sym)*>(address(value)); break;
      case DT_STRTAB: library.names = reinterpret_cast<const char*>(address(value)); break;
      case DT_RELA: library.tables[0] = reinterpret_cast<const ElfW(Rela)*>(address(value)); break;
      case DT_RELASZ: library.sizes[0] = value / sizeof(ElfW(Rela)); break;
      case DT_JMPREL: library.tables[1] = reinterpret_cast<const ElfW(Rela)*>(address(value)); break;
      case DT_PLTRELSZ: library.sizes[1] = value / sizeof(ElfW(Rela)); break;
      default: break;
    }
  }
}

Library read_library(const dl_phdr_info& info) {
  Library library;
  library.base = info.dlpi_addr;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    const uintptr_t start = library.base + header.p_vaddr, end = start + header.p_memsz;
    if (header.p_type == PT_DYNAMIC) read_dynamic(reinterpret_cast<const ElfW(Dyn)*>(start), library);
    if (header.p_type == PT_GNU_RELRO) library.sealed = {start & ~(page - 1), end & ~(page - 1)};
    if (header.p_type == PT_LOAD && header.p_flags & PF_W) library.writable.push_back({start, end});
  }
  return library;
}

// The counting function for what a slot refers to, or null.
void* replacement(const Library& library, const ElfW(Rela)& entry) {
  const auto type = static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info));
  if (type != kCall && type != kAddress && type != kPointer) return nullptr;
  const char* name = library.names + library.symbols[ELF64_R_SYM(entry.r_info)].st_name;
  for (const Function& function : kFunctions)
    if (std::strcmp(name, function.name) == 0) return *function.real ? function.counted : nullptr;
  return nullptr;
}

int watch(dl_phdr_info* info, size_t, void*) {
  const Library library = read_library(*info);
  Dl_info own;
  const bool is_own = dladdr(reinterpret_cast<void*>(&note), &own) &&
                      reinterpret_cast<uintptr_t>(own.dli_fbase) == library.base;
  if (!library.symbols || !library.names || is_own) return 0;
  std::vector<Slot> counted;
  for (int table = 0; table < 2; ++table) {
    for (size_t i = 0; library.tables[table] && i < library.sizes[table]; ++i) {
      const ElfW(Rela)& entry = library.tables[table][i];
      auto** at = reinterpret_cast<void**>(library.base + entry.r_offset);
      void* value = replacement(library, entry);
      if (!value || !library.holds(at)) continue;
      originals.push_back({at, *at});
      counted.push_back({at, value});
    }
  }
  library.write(counted);
  return 0;
}

int unwatch(dl_phdr_info* info, size_t, void*) {
  const Library library = read_library(*info);
  std::vector<Slot> mine;
  for (const Slot& slot : originals)
    if (library.holds(slot.at)) mine.push_back(slot);
  library.write(mine);
  return 0;
}

}  // namespace

HALTERE_EXPORT int haltere_bench_mallocs_watch(void) {
  if (!originals.empty()) return 3;
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (!libc) return 2;
  for (const Function& function : kFunctions) *function.real = dlsym(libc, function.name);
  // Whoever else provides malloc also provides free, and would be handed the C library's memory.
  const bool ours = real.malloc && dlsym(RTLD_DEFAULT, "malloc") == reinterpret_cast<void*>(real.malloc);
  dlclose(libc);
  if (!ours) return 2;
  dl_iterate_phdr(watch, nullptr);
  return 0;
}

HALTERE_EXPORT void haltere_bench_mallocs_unwatch(void) {
  dl_iterate_phdr(unwatch, nullptr);
  originals.clear();
}

HALTERE_EXPORT void haltere_bench_mallocs_start(void) {
  count = 0;
  counted_thread = pthread_self();
  counting.store(true, std::memory_order_release);
}

HALTERE_EXPORT int64_t haltere_bench_mallocs_stop(void) {
  counting.store(false, std::memory_order_release);
  return count;
}

#else

HALTERE_EXPORT int haltere_bench_mallocs_watch(void) { return 1; }
HALTERE_EXPORT void haltere_bench_mallocs_unwatch(void) {}
HALTERE_EXPORT void haltere_bench_mallocs_start(void) {}
HALTERE_EXPORT int64_t haltere_bench_mallocs_stop(void) { return 0; }

#endif

HALTERE_EXPORT int haltere_bench_mallocs_of(haltere_step step, void* context, int inputs, int64_t calls,
                                            int64_t* count) {
  haltere_bench_mallocs_start();
  int error = 0, index = 0;
  for (int64_t call = 0; call < calls && !error; ++call) {
    error = step(context, index);
    if (++index == inputs) index = 0;
  }
  *count = haltere_bench_mallocs_stop();
  return error;
}
