"""Learning: trainers, runs, checkpoints, and the command line."""
