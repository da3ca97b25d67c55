"""What can be read off a graph without changing it: types under given sizes, cost, a census of its layers."""
