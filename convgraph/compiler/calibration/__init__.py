"""Measuring a machine: what the cost model of onnxruntime's CPU provider counts with."""
