"""From a trained network to something that runs on a robot: export, runtime, loading, latency, zoo."""
