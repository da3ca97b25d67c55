"""Cleanup is held against that of other optimizers, on small graphs of one pattern each."""
