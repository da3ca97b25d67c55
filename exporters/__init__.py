"""How a graph leaves: ONNX models."""
