"""What answers CARLA's calls, by topic; each method names the call that it answers."""
