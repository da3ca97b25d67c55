"""Whether two models mean the same: feeds, tolerance, comparison in onnxruntime, an oracle in numpy."""
