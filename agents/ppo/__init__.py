"""Proximal policy optimisation of a shared policy: stable-baselines3's PPO, every agent of every world a lane."""
