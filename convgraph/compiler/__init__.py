"""The roof: reads a model, runs a pipeline, writes the result and proves it equal."""
