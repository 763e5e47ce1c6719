"""Learning from demonstrations: whatever a policy's own loss makes of them."""
