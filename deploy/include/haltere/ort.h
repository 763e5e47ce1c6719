/* The fused kernels as operators of ONNX Runtime, in the domain "haltere".
 *
 * An exported model holds each fused block twice: as one node, and as a function of the same name that any ONNX Runtime
 * runs. Where this library is registered, its kernel runs instead:
 *
 *     options.AddConfigEntry("haltere.threads", "2");       // optional: threads of one run, 1 unless told
 *     options.AddConfigEntry("haltere.precision", "int8");  // optional: fp32 (unless told), bf16 or int8 weights
 *     options.RegisterCustomOpsLibrary("libhaltere_kernels.so");
 *
 * A node's inputs are the operator's inputs, then its weights, which must be constants; its attributes are the
 * operator's. Weights are packed when the session is made. What doesn't fit fails then, with a sentence.
 *
 * Built without ONNX Runtime's headers: its C interface is a table of functions that only ever grows. The places that
 * are used were tried on the versions that haltere_ort_supports knows; any other is refused.
 */
#ifndef HALTERE_ORT_H
#define HALTERE_ORT_H

#include "haltere/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OrtStatus OrtStatus;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtApiBase OrtApiBase;

/* What ONNX Runtime calls. NULL where all is well. Where a version is so strange that not even a status can be made,
 * nothing is registered, and models run their functions. */
HALTERE_API OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base);

/* Whether these operators work with a version of ONNX Runtime, such as "1.31.1". */
HALTERE_API int haltere_ort_supports(const char *version);

/* Name and place of the index-th function of ONNX Runtime's table that is used; -1 past the end. For tests. */
HALTERE_API int haltere_ort_slot(int index, const char **name);

/* How often ONNX Runtime has run an operator in this process, whatever the session; NULL for all of them together. */
HALTERE_API int64_t haltere_ort_calls(const char *name);

/* Bytes of packed weights that the sessions of this process hold; nodes that name the same constants share theirs. */
HALTERE_API int64_t haltere_ort_bytes(void);

#ifdef __cplusplus
}
#endif

#endif /* HALTERE_ORT_H */
