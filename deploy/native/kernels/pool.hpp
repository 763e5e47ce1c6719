// Threads made ahead of time, over which the lanes of a run are cut.
#pragma once

#include <cstdint>

namespace haltere::kernels {

// Have `threads` - 1 sleeping helpers at least. Returns the threads that there are, the caller's own among them.
int reserve_threads(int threads);

// Call `work(data, begin, end)` for parts that make up [0, lanes) once each, on up to `threads` threads. Allocates
// nothing and takes no lock: where another run has the helpers, the caller does it all.
void share(int threads, std::int64_t lanes, void (*work)(const void *data, std::int64_t begin, std::int64_t end),
           const void *data);

}  // namespace haltere::kernels
