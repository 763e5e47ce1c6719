"""ACT: a chunk of commands from a transformer, and in training a latent for what observations don't tell."""
