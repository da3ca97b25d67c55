"""Finding the package's own parts, and saying what to do when a checkout hides an installation.

``convgraph.passes`` and ``convgraph.exporters`` live beside ``convgraph/`` in a checkout and inside it
once installed. Python started in a checkout's root takes ``./convgraph`` before an installed copy, and misses
both.
"""

import importlib
from pathlib import Path
from types import ModuleType

_BESIDE = ("convgraph.passes", "convgraph.exporters")


class ShadowedInstallation(ImportError):
    """Half of the package was found in a checkout while the other half is installed elsewhere."""


def part(name: str) -> ModuleType:
    """Import a module of the package by its full name.

    Raises ShadowedInstallation, with the remedy, when the module or one it needs is one of the two folders
    that only an installation puts in place.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in _BESIDE:
            raise
        here = Path(__file__).parent
        raise ShadowedInstallation(
            f"{error.name}: not installed beside {here}; expected an editable install of this checkout "
            "(pip install -e .), or another current folder",
            name=error.name,
        ) from error
