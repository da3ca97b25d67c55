"""Optimize a model, see what was done and that it computes the same, and write it.

Run it with ``python examples/quickstart.py``; it writes ``mobilenet.opt.onnx`` to the current folder.
"""

from collections import Counter

import convgraph as cg

# "model.onnx", bytes, a file object or an onnx.ModelProto will do as well.
graph = cg.load("demo:mobilenet")
print(graph)

result = cg.optimize(graph)
for name, count in Counter(done.rewrite for done in result.trace.applications).items():
    print(f"{count:4} x {name}")
print(result.graph)

# The graph is a networkx.MultiDiGraph underneath; any networkx algorithm works on it.
print(f"{result.graph.nx.number_of_edges()} operands left of {graph.nx.number_of_edges()}")

assert result.verification is not None
result.verification.raise_if_different()
for output in result.verification.outputs:
    print(f"{output.name}: largest error {output.max_abs:.1e}, allowed {output.tolerance:.1e}")

cg.save(result.graph, "mobilenet.opt.onnx")
cg.verify("demo:mobilenet", "mobilenet.opt.onnx").raise_if_different()
