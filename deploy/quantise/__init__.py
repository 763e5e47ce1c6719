"""Fewer bits, honestly: calibrated on what the policy meets, measured beside float32, kept only if it flies as well."""
