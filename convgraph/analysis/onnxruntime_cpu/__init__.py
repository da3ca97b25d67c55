"""What onnxruntime's CPU provider does with a graph, and how long it takes: predicted, not run."""
