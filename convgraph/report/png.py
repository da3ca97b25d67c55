"""Pixels as a PNG file: eight bits a colour, every row as it is (filter 0), one compressed chunk."""

import struct
import zlib

import numpy as np

from convgraph.ir.tensor import Array

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _RGB = 8, 2  # PNG's codes for the depth and the kind of colours


def png(pixels: Array) -> bytes:
    """The file of an image given as uint8 (height, width, 3); the same pixels always give the same bytes."""
    height, width, _ = pixels.shape
    header = struct.pack(">2I5B", width, height, _BITS, _RGB, 0, 0, 0)
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter
    rows[:, 1:] = pixels.reshape(height, -1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
