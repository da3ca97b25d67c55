"""Every operation convgraph has a class for, by its ONNX name; anything else is Opaque."""
