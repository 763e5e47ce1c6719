"""A whole haltere plugin: one policy, one task, one YAML and two entry points."""
