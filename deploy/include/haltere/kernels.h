/* haltere's fused kernels: the whole plain C interface of libhaltere_kernels.so.
 *
 * One operator ("op") is a network or a block of one, made once from its weights and then run as often as wanted:
 *
 *     haltere_op *op = haltere_op_create("SwarmPolicy", weights, 16, NULL, 0, HALTERE_F32);
 *     if (!op) fail(haltere_error());
 *     if (haltere_op_run(op, inputs, 3, outputs, 2, 1)) fail(haltere_error());
 *
 * Making an op checks, folds and packs the weights for this processor; they aren't needed afterwards. Running one
 * allocates nothing, locks nothing, and may be done by several threads at once with the same op. A lane (one row of
 * the batch) gets the same bits whatever the batch around it and however many threads share the work. The scratch
 * memory is on the caller's stack, at most HALTERE_MAX_SCRATCH bytes.
 *
 * Arrays are float32, row-major and contiguous; an array of weights is [out, in] as in torch.nn.Linear. Inputs may
 * hold NaN and infinity: what depends on a NaN becomes NaN.
 *
 * Source of the operators: policies/swarm/model.py (arXiv:2309.13285), Hierarchical Chunk Attention Memory
 * (arXiv:2105.14039), mixtures of gated linear units (arXiv:2002.05202, arXiv:1701.06538), diffusion transformers
 * (arXiv:2212.09748).
 */
#ifndef HALTERE_KERNELS_H
#define HALTERE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HALTERE_API __attribute__((visibility("default")))
#else
#define HALTERE_API
#endif

#define HALTERE_ABI 1 /* changes with anything below that old callers would trip over */
#define HALTERE_MAX_RANK 6
#define HALTERE_MAX_SCRATCH (256 * 1024) /* bytes of stack that a run takes at most */

/* How the large matrices are kept; everything else stays float32.
 * HALTERE_BF16: rounded to nearest bfloat16; activations stay float32, but for DenoiserBlock's on some processors; see
 *               there.
 * HALTERE_INT8: symmetric, one scale for each row of outputs; activations are rounded to 16 bits with one scale for
 *               each vector, and the sums are exact integers. */
typedef enum { HALTERE_F32 = 0, HALTERE_BF16 = 1, HALTERE_INT8 = 2 } haltere_precision;

/* An array. Where it's an output of haltere_op_shapes, data is left alone; weights and inputs are only read. */
typedef struct {
  float *data;
  int64_t dim[HALTERE_MAX_RANK];
  int32_t rank;
} haltere_tensor;

/* A whole number that belongs to an op and isn't seen from its weights, such as "heads". */
typedef struct {
  const char *name;
  int64_t value;
} haltere_attribute;

/* One row of the table of operators. Names are separated by blanks, in order; one in [brackets] may be left out. */
typedef struct {
  const char *name;
  const char *weights;
  const char *inputs;
  const char *outputs;
  const char *attributes;
  const char *summary;
} haltere_op_info;

typedef struct haltere_op haltere_op;
typedef struct haltere_call haltere_call;

/* The table. (...) stands for any dimensions; B lanes; layers are y = W x + b.
 *
 * Dense, DenseTanh, DenseGelu (by erf), DenseSilu
 *   weights           w (N,K), [b] (N)
 *   inputs, outputs   x (...,K); y (...,N)
 *
 * TwoTokenAttention   single-head self-attention over two tokens of width h, residual, layer norm with eps 1e-5
 *   weights           query (h,h), key (h,h), value (h,h), out (h,h), norm_w (h), norm_b (h)
 *   inputs            first (B,h), second (B,h)
 *   outputs           tokens (B,2,h), weight (B,2): what each query gives to the first token
 *
 * SwarmPolicy         width h, K neighbours (1 to 8); policies/swarm/model.py
 *   weights           self_w (h,13), self_b (h), neighbour_w (h,6K), neighbour_b (h), obstacle_w (h,4), obstacle_b (h),
 *                     query (h,h), key (h,h), value (h,h), out (h,h), norm_w (h), norm_b (h), fuse_w (h,3h),
 *                     fuse_b (h), head_w (4,h), head_b (4). The encoders' scales are already in their weights. A
 *                     network with fixed attention has a query of zeros. Encoders and head stay float32 in every
 *                     precision.
 *                     obstacle_w may also be (h,5): then the square of the slope's length is the fifth feature.
 *   inputs            self (B,19), neighbour (B,K,6), obstacle (B,9)
 *   outputs           action (B,4), attention (B,2)
 *
 * GluExperts          E gated linear units down(silu(gate x) * up x); each lane goes through the top_k (at most 64)
 *                     with the largest logits, of equal ones the first, and the results are summed with the softmax
 *                     over those logits. The router is outside: a Dense, or whatever else gives logits.
 *   weights           gate (E,F,D), up (E,F,D), down (E,N,F)
 *   attributes        top_k
 *   inputs            x (...,D); logits (...,E) with the dimensions of x, of which the last ones may be left out: x
 *                     (B,T,D) and logits (B,E) send all T tokens of a lane the same way, and read an expert once for
 *                     several of them
 *   outputs           y (...,N)
 *
 * ChunkAttention      one query over C chunks of T steps, width D. The relevance of a chunk is the scaled product of
 *                     the query and its summary, both projected; inside each of the top_k (at most 64) most relevant
 *                     chunks the query attends to the steps with several heads; the results are summed with the
 *                     softmax over the chosen relevances. No step is projected: q.(Wk x) is computed as (q Wk).x, and
 *                     Wv and Wout are applied to the sum. Biases of keys cancel in both softmaxes, so there are none.
 *   weights           summary_query_w (D,D), summary_query_b (D), summary_key_w (D,D), query_w (D,D), query_b (D),
 *                     key_w (D,D), value_w (D,D), value_b (D), out_w (D,D), out_b (D)
 *   attributes        heads (divides D), top_k
 *   inputs            query (B,D), summary (B,C,D), memory (B,C,T,D), [valid] (B,C): a chunk counts where above zero
 *   outputs           out (B,D), zero in a lane without a valid chunk; relevance (B,C): each chunk's share, zero
 *                     where it wasn't chosen
 *
 * DenoiserBlock       one block of a transformer over T tokens of width D, steered by one vector a lane
 *                     (arXiv:2212.09748, adaLN-Zero): from the steering's SiLU one layer makes six vectors of width D,
 *                     shift, scale and gate for attention, then the same for the feed-forward part; y = x + gate part(
 *                     norm(x) (1 + scale) + shift), for one part after the other. norm is layer norm without weights,
 *                     eps 1e-6; attention has several heads, each token attends to all; GELU is by tanh. With
 *                     HALTERE_BF16, but for the steering and what is inside attention: where the processor multiplies
 *                     bfloat16 ("avx512bf16", "amx"), activations are rounded to that, too; where it multiplies
 *                     pairs of 16-bit integers twice as fast as floats ("avx512vnni"), bfloat16's weights are held
 *                     as multiples of a 8191st of their row's largest, activations as multiples of at most a 4096th
 *                     of their token's, and 64 products at a time are added up exactly.
 *   weights           steer_w (6D,D), steer_b (6D), into_w (3D,D), into_b (3D): query, key, value; out_w (D,D),
 *                     out_b (D), up_w (F,D), up_b (F), down_w (D,F), down_b (D)
 *   attributes        heads (divides D)
 *   inputs            x (B,T,D), as long as HALTERE_MAX_SCRATCH allows, such as 256 tokens and heads of
 *                     64; steering (B,D)
 *   outputs           y (B,T,D)
 *
 * SteeredBlock        the same without its first layer: where what steers is known ahead for several runs, a Dense
 *                     makes the vectors of all of them at once from the steering's SiLU, and reads its weights once
 *   weights           into_w, into_b, out_w, out_b, up_w, up_b, down_w, down_b as above
 *   attributes        heads (divides D)
 *   inputs            x (B,T,D) as above; steer (B,1,6D): shift, scale, gate, and again
 *   outputs           y (B,T,D)
 */

/* HALTERE_ABI of the library, to be compared with that of this header. */
HALTERE_API int haltere_abi(void);

/* Instruction set of the ops made from now on: "baseline", "avx2", "avx512", "avx512vnni",
 * "avx512bf16", "amx" or "neon". */
HALTERE_API const char *haltere_isa(void);

/* Name of the index-th instruction set that this processor has, the best one last; NULL past the end. */
HALTERE_API const char *haltere_isa_name(int index);

/* Make later ops with another instruction set than the best; for tests and benchmarks. 0, or -1 with haltere_error. */
HALTERE_API int haltere_use_isa(const char *name);

/* What the last call of this thread that failed had to say: one sentence, valid until the next failure. */
HALTERE_API const char *haltere_error(void);

/* The index-th row of the table of operators; NULL past the end. */
HALTERE_API const haltere_op_info *haltere_op_at(int index);

/* Check, fold and pack. Attributes may come in any order. NULL with haltere_error: no such op, a shape that doesn't
 * fit, a weight that isn't finite, or no memory. */
HALTERE_API haltere_op *haltere_op_create(const char *name, const haltere_tensor *weights, int n_weights,
                                          const haltere_attribute *attributes, int n_attributes,
                                          haltere_precision precision);
HALTERE_API void haltere_op_destroy(haltere_op *op);

/* Bytes of packed weights; a run reads all of them but the experts that weren't chosen. */
HALTERE_API int64_t haltere_op_bytes(const haltere_op *op);

/* Fill rank and dim of the outputs that these inputs lead to. 0, or -1 with haltere_error. */
HALTERE_API int haltere_op_shapes(const haltere_op *op, const haltere_tensor *inputs, int n_inputs,
                                  haltere_tensor *outputs, int n_outputs);

/* Run. The outputs' shapes are checked, not filled; no output may overlap another array. The batch is cut over up to
 * `threads` threads, as far as haltere_reserve_threads has made them. 0, or -1 with haltere_error. */
HALTERE_API int haltere_op_run(const haltere_op *op, const haltere_tensor *inputs, int n_inputs,
                               const haltere_tensor *outputs, int n_outputs, int threads);

/* A run whose arguments are checked once and then stay: the same arrays, filled anew before each run. The op must
 * outlive it. haltere_call_run can't fail and costs no more than the kernel. */
HALTERE_API haltere_call *haltere_call_create(const haltere_op *op, const haltere_tensor *inputs, int n_inputs,
                                              const haltere_tensor *outputs, int n_outputs, int threads);
HALTERE_API void haltere_call_run(const haltere_call *call);
HALTERE_API void haltere_call_destroy(haltere_call *call);

/* Make sure that runs can use `threads` threads, the caller's own among them; they sleep while there is nothing to
 * do. Never fewer than before. Returns how many there are: 1 in a process forked after they were made, until it asks
 * for its own. */
HALTERE_API int haltere_reserve_threads(int threads);

#ifdef __cplusplus
}
#endif

#endif /* HALTERE_KERNELS_H */
