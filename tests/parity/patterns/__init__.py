"""The patterns, one module for each topic, each with a tuple ``PATTERNS``."""
