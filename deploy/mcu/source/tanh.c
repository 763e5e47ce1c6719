/* tanh as a ratio of two polynomials: the smallest largest error on [0, 8.12] for these degrees, and 1 further out.
 * Off by at most 6e-7 for any number; NaN stays NaN. */
static inline float tanh_of(float x) {
  const float s = x * x;
  if (s > 66.0f) return x > 0.0f ? 1.0f : -1.0f;
  const float p = ((s + 261.754792f) * s + 11539.1818f) * s + 89434.7591f;
  const float q = (((s + 987.58668f) * s + 99518.3567f) * s + 1940295.88f) * s + 4196558.58f;
  return 46.9230932f * x * p / q;
}
