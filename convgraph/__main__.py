"""``python -m convgraph`` is the command ``convgraph``."""

from convgraph.cli.main import main

if __name__ == "__main__":
    main()
