// One instruction set's half of the library; CMakeLists.txt compiles this file once for each of them.
#include "chunks.hpp"
#include "denoiser.hpp"
#include "experts.hpp"
#include "swarm.hpp"

#define HALTERE_JOIN_(a, b) a##b
#define HALTERE_JOIN(a, b) HALTERE_JOIN_(a, b)
#define HALTERE_TEXT_(a) #a
#define HALTERE_TEXT(a) HALTERE_TEXT_(a)

namespace haltere::kernels {

extern const Kernels HALTERE_JOIN(kKernels_, HALTERE_ISA);
const Kernels HALTERE_JOIN(kKernels_, HALTERE_ISA) = {
    HALTERE_TEXT(HALTERE_ISA), kLanes,      HALTERE_FIXED_PRODUCTS, run_dense,   run_two_token,
    run_swarm,                 run_experts, run_chunks,             run_denoiser};

}  // namespace haltere::kernels
