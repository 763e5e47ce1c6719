/* The network: width $width, neighbours $neighbours. Source: Huang et al. 2023, arXiv:2309.13285, section IV-B.
 *
 *   me, n, o      = tanh of one layer each over what is sensed, turned into the body frame
 *   d             = n - o
 *   w of a query  = sigmoid(query . M d), with M = query' key / sqrt(width): the softmax over two tokens
 *   z of a query  = the centred (query + V o + w V d), over its standard deviation, with V = out value
 *   action        = tanh(head tanh(fuse (me, z of n, z of o)))
 *
 * The matrices were folded when they were written: the features' scales into the encoders, M and V as above, V's part
 * of the centring into V, layer norm's scale and shift into fuse. */
enum { WIDTH = $width, NEIGHBOURS = $neighbours, OWN = 13, THEIRS = 6 * NEIGHBOURS, SURFACE = 4, ACTIONS = $actions };

$weights
$tanh
static void squash(float *x, int n) {
  const float *const end = x + n;
  do {
    *x = tanh_of(*x);
  } while (++x != end);
}

$dense
/* y = the world vector factor * x in the body frame; r is the matrix from body to world, row by row. */
static void turn(const float *r, const float *x, float factor, float *y) {
  const float x0 = factor * x[0], x1 = factor * x[1], x2 = factor * x[2];
  y[0] = r[0] * x0 + r[3] * x1 + r[6] * x2;
  y[1] = r[1] * x0 + r[4] * x1 + r[7] * x2;
  y[2] = r[2] * x0 + r[5] * x1 + r[8] * x2;
}

/* A position [m], drawn in from length d to d / (1 m + d), and a velocity [m/s]: x and y are six numbers each. */
static void turn_pair(const float *r, const float *x, float *y) {
  const float length = sqrtf(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
  turn(r, x, 1.0f / (1.0f + length), y);
  turn(r, x + 3, 1.0f, y + 3);
}

/* The distance in the middle of the grid, and the slope of the grid; the weights know its pitch. */
static void feel(const float *r, const float *grid, float *y) {
  const float slope[3] = {grid[6] + grid[7] + grid[8] - grid[0] - grid[1] - grid[2],
                          grid[2] + grid[5] + grid[8] - grid[0] - grid[3] - grid[6], 0.0f};
  y[0] = grid[4] < $far ? grid[4] : $far;
  turn(r, slope, 1.0f, y + 1);
}

/* me, n and o, one after the other. */
static void encode(const haltere_observation *obs, float *me) {
  float own[OWN], theirs[THEIRS], surface[SURFACE];
  const float *const r = obs->self + 6;
  turn_pair(r, obs->self, own);
  for (int i = 6; i < OWN; ++i) own[i] = obs->self[i + 6];
  for (int i = 0; i < NEIGHBOURS; ++i) turn_pair(r, obs->neighbour[i], theirs + 6 * i);
  feel(r, obs->obstacle, surface);
  dense(self_weight, self_bias, own, OWN, me);
  dense(neighbour_weight, neighbour_bias, theirs, THEIRS, me + WIDTH);
  dense(obstacle_weight, obstacle_bias, surface, SURFACE, me + 2 * WIDTH);
  squash(me, 3 * WIDTH);
}

/* n and o become z of n and z of o; returns the mean of the two weights on n. d is left for others to overwrite. */
static float attend(float *n, float *o, float *d) {
  float base[WIDTH], step[WIDTH];
  float mean_o = 0.0f, mean_d = 0.0f;
  for (int i = 0; i < WIDTH; ++i) {
    d[i] = n[i] - o[i];
    mean_o += o[i];
    mean_d += d[i];
  }
  mean_o *= 1.0f / WIDTH;
  mean_d *= 1.0f / WIDTH;
$scores
  dense(value_weight, o, o, WIDTH, base);
  dense(value_weight, zero, d, WIDTH, step);
  float squares_n = 0.0f, squares_o = 0.0f;
  for (int i = 0; i < WIDTH; ++i) {
    const float z_o = base[i] - mean_o;
    const float z_n = z_o + w_n * step[i] + (d[i] - mean_d);
    o[i] = z_o + w_o * step[i];
    n[i] = z_n;
    squares_o += o[i] * o[i];
    squares_n += z_n * z_n;
  }
  const float scale_n = 1.0f / sqrtf(squares_n * (1.0f / WIDTH) + $epsilon);
  const float scale_o = 1.0f / sqrtf(squares_o * (1.0f / WIDTH) + $epsilon);
  for (int i = 0; i < WIDTH; ++i) {
    n[i] *= scale_n;
    o[i] *= scale_o;
  }
  return 0.5f * (w_n + w_o);
}

void haltere_policy(const haltere_observation *obs, haltere_output *out) {
  float joined[3 * WIDTH], hidden[WIDTH];
  encode(obs, joined);
  const float on_neighbours = attend(joined + WIDTH, joined + 2 * WIDTH, hidden);
  dense(fuse_weight, fuse_bias, joined, 3 * WIDTH, hidden);
  squash(hidden, WIDTH);
  head(head_weight, head_bias, hidden, WIDTH, out->action);
  squash(out->action, ACTIONS);
  hold_within_bounds(out->action);
  out->attention[0] = on_neighbours;
  out->attention[1] = 1.0f - on_neighbours;
}
