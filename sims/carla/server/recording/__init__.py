"""Records what a world's actors do, and plays it again."""
