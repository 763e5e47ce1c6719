"""What the sensors of a world sense, and how a client is told of it."""
