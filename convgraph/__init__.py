"""convgraph."""
