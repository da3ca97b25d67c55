"""Tuning by measurement: what pays on this machine is timed in onnxruntime, and remembered."""
