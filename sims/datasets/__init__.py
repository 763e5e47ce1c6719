"""Demonstrations as LeRobotDataset v3.0 folders: recording, reading, and the check that replays them."""
