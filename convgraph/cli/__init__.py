"""The command line: main.py finds the command, one module of the same name runs it."""
