  dense(score_weight, zero, d, WIDTH, base);
  float scores[2] = {0.0f, 0.0f};
  for (int i = 0; i < WIDTH; ++i) {
    scores[0] += n[i] * base[i];
    scores[1] += o[i] * base[i];
  }
  squash(scores, 2); /* M is halved: sigmoid(x) = (1 + tanh(x / 2)) / 2 */
  const float w_n = 0.5f + 0.5f * scores[0], w_o = 0.5f + 0.5f * scores[1];
