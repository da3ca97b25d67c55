"""What a graph is: tensor types, operations, the graph itself and the only ways to change it."""
