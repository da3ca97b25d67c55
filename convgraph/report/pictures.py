"""Filters and feature maps as contact sheets: one tile for each, between black lines, magnified.

A number v becomes the grey 128 + 127·v/s, s the largest magnitude on the sheet: zero is middle grey, positive
is lighter. Filters over three channels are shown in colour, the channels as red, green and blue.
"""

from dataclasses import dataclass

import numpy as np

from convgraph.ir.ops import ConvTranspose
from convgraph.ir.ops.conv import Convolution
from convgraph.ir.tensor import Array

LIMIT = 64  # tiles down a sheet, and across it, unless asked for more
_RGB = 3
_FILTER_SIDE, _MAP_SIDE = 24, 64  # pixels that the longer side of a tile has at least, about


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A contact sheet.

    ``pixels`` is uint8 (height, width, 3), ``scale`` the magnitude shown as white or black, ``shown`` of
    ``total`` filters or maps are on it. Each number covers ``zoom`` by ``zoom`` pixels.
    """

    pixels: Array
    scale: float
    shown: int
    total: int
    zoom: int


def filter_sheet(op: Convolution, weight: Array, *, limit: int = LIMIT) -> Sheet:
    """The filters of a convolution: a row for each, a column for each channel that it sees.

    Where a tile shows a whole filter (one channel, or three in colour) they fill a grid in reading order.
    """
    filters = _by_filter(op, weight)
    kept = filters[:limit]
    coloured = filters.shape[1] == _RGB and filters.ndim == 4
    tiles = _grid(np.moveaxis(kept, 1, -1)[:, None]) if coloured else _grey(kept[:, :limit])
    return _sheet(tiles, shown=len(kept), total=len(filters), side=_FILTER_SIDE)


def map_sheet(maps: Array, *, limit: int = LIMIT) -> Sheet:
    """The feature maps (N, C, *spatial) of the first sample, in reading order."""
    first = maps[0]
    return _sheet(_grey(first[:limit, None]), shown=min(limit, len(first)), total=len(first), side=_MAP_SIDE)


def _by_filter(op: Convolution, weight: Array) -> Array:
    """The weight as (filters, channels each sees, *kernel)."""
    if not isinstance(op, ConvTranspose):
        return weight
    channels, filters, *kernel = weight.shape
    grouped = weight.reshape(op.group, channels // op.group, filters, *kernel)
    return grouped.swapaxes(1, 2).reshape(op.group * filters, channels // op.group, *kernel)


def _grey(array: Array) -> Array:
    """(rows, columns, *spatial) as tiles (rows, columns, height, width, 3).

    Slices in depth stand side by side. Where there is one tile in each row, they fill a grid.
    """
    rows, *_ = array.shape
    height, width = (1, *array.shape[2:])[-2:]
    tiles = array.reshape(rows, -1, height, width, 1)
    return np.repeat(_grid(tiles) if tiles.shape[1] == 1 else tiles, 3, axis=-1)


def _grid(tiles: Array) -> Array:
    """Tiles that stand in one column, as a grid that is about square; places left over hold zeros."""
    count, _, height, width, colours = tiles.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, height, width, colours), tiles.dtype)
    whole[:count] = tiles[:, 0]
    return whole.reshape(rows, columns, height, width, colours)


def _sheet(tiles: Array, *, shown: int, total: int, side: int) -> Sheet:
    """Tiles (rows, columns, height, width, 3) of numbers, as pixels."""
    numbers = np.nan_to_num(tiles.astype(np.float64), posinf=0, neginf=0)
    scale = float(np.abs(numbers).max(initial=0))
    grey = np.rint(128 + 127 * numbers / (scale or 1)).astype(np.uint8)
    rows, columns, height, width, _ = grey.shape
    zoom = max(1, side // max(height, width))
    large = grey.repeat(zoom, axis=2).repeat(zoom, axis=3)
    lined = np.pad(large, ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)))
    joined = lined.swapaxes(1, 2).reshape(rows * (zoom * height + 1), columns * (zoom * width + 1), 3)
    pixels = np.pad(joined, ((0, 1), (0, 1), (0, 0)))
    return Sheet(pixels=pixels, scale=scale, shown=shown, total=total, zoom=zoom)
