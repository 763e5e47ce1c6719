/* $rows rows of y = weight x + bias, side by side; weight holds the $rows weights of each input, and is left behind them. */
static const float *${name}_of_rows(const float *weight, const float *bias, const float *x, int n, float *y) {
  const float *const end = x + n;
$load
  do {
    const float v = *x++;
$step
    weight += $rows;
  } while (x != end);
$store
  return weight;
}

static void $name(const float *weight, const float *bias, const float *x, int n, float *y) {
  for (int i = 0; i < $outputs; i += $rows) weight = ${name}_of_rows(weight, bias + i, x, n, y + i);
}
