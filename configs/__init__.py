"""One YAML a task, and the strict loader of them."""
