"""Networks only: torch.nn, no simulator, no trainer."""
