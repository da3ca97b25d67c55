"""Contact sheets: every pixel is the number it stands for, also once it is a file."""

import struct
import zlib

import numpy as np
import pytest

from convgraph.ir.ops import Conv, ConvTranspose
from convgraph.ir.tensor import Array
from convgraph.report.pictures import Sheet, filter_sheet, map_sheet
from convgraph.report.png import png


def draw(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def decoded(file: bytes) -> Array:
    """The pixels of a PNG file, read as its specification says, every checksum compared."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(file):
        (length,) = struct.unpack_from(">I", file, at)
        kind, data = file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", file, at + 8 + length)
        assert checksum == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *form = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert form == [8, 2, 0, 0, 0], "eight bits, red, green and blue"
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any(), "rows without a filter"
    return rows[:, 1:].reshape(height, width, 3)


def tile(sheet: Sheet, row: int, column: int, *, height: int, width: int) -> Array:
    """The numbers that a tile of the sheet's file shows, (height, width, 3)."""
    pixels = decoded(png(sheet.pixels))
    top, left = row * (sheet.zoom * height + 1), column * (sheet.zoom * width + 1)
    bottom, right = top + sheet.zoom * height + 1, left + sheet.zoom * width + 1
    for line in (pixels[top], pixels[bottom], pixels[:, left], pixels[:, right]):
        assert not line.any(), "black lines on every side"
    inside = pixels[top + 1 : bottom, left + 1 : right].astype(int)
    small = inside[:: sheet.zoom, :: sheet.zoom]
    assert (small.repeat(sheet.zoom, 0).repeat(sheet.zoom, 1) == inside).all()
    return (small - 128) / 127 * sheet.scale


def close(found: Array, expected: Array, sheet: Sheet) -> bool:
    """Within half a step of 127 from middle grey to white."""
    return bool(np.abs(found - expected).max() <= sheet.scale / 127 * 0.5001)


def test_a_file_holds_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    assert (decoded(png(pixels)) == pixels).all()


def test_filters_stand_in_rows_and_channels_in_columns() -> None:
    weight = draw(4, 5, 3, 2)
    sheet = filter_sheet(Conv.of(2), weight)
    assert sheet.scale == np.abs(weight).max()
    assert (sheet.shown, sheet.total) == (4, 4)
    for row, column in np.ndindex(4, 5):
        found = tile(sheet, row, column, height=3, width=2)
        assert close(found, weight[row, column][..., None], sheet)


def test_three_channels_are_colours() -> None:
    weight = draw(5, 3, 2, 4)
    sheet = filter_sheet(Conv.of(2), weight)
    for number in range(5):
        found = tile(sheet, *divmod(number, 3), height=2, width=4)
        assert close(found, np.moveaxis(weight[number], 0, -1), sheet)


def test_filters_of_one_channel_fill_a_grid() -> None:
    weight = draw(6, 1, 3, 2)
    sheet = filter_sheet(Conv.of(2, group=6), weight)
    for number in range(6):
        assert close(tile(sheet, *divmod(number, 3), height=3, width=2), weight[number, 0][..., None], sheet)


def test_filters_of_a_grouped_transposed_convolution() -> None:
    weight = draw(6, 4, 2, 3)  # 6 channels, 2 groups, 4 filters in each
    sheet = filter_sheet(ConvTranspose.of(2, group=2), weight)
    assert sheet.total == 8
    for number, channel in np.ndindex(8, 3):
        group, inner = divmod(number, 4)
        found = tile(sheet, *divmod(number, 3), height=2, width=3)[..., channel]  # in colour
        assert close(found, weight[3 * group + channel, inner], sheet)


def test_filters_over_lines_and_volumes() -> None:
    line, volume = draw(4, 2, 5), draw(2, 3, 4, 3, 2)
    flat, deep = filter_sheet(Conv.of(1), line), filter_sheet(Conv.of(3), volume)
    for row, column in np.ndindex(4, 2):
        assert close(tile(flat, row, column, height=1, width=5), line[row, column][None, :, None], flat)
    for row, column, depth in np.ndindex(2, 3, 4):
        found = tile(deep, row, 4 * column + depth, height=3, width=2)
        assert close(found, volume[row, column, depth][..., None], deep)


@pytest.mark.parametrize("limit", [2, 3])
def test_a_limit_is_kept_and_told(limit: int) -> None:
    weight, coloured, maps = draw(7, 5, 3, 3), draw(7, 3, 2, 2), draw(2, 6, 4, 9)
    assert filter_sheet(Conv.of(2), coloured, limit=limit).scale == np.abs(coloured[:limit]).max()
    filters, seen = filter_sheet(Conv.of(2), weight, limit=limit), map_sheet(maps, limit=limit)
    assert (filters.shown, filters.total, seen.shown, seen.total) == (limit, 7, limit, 6)
    assert filters.scale == np.abs(weight[:limit, :limit]).max()
    assert seen.scale == np.abs(maps[0, :limit]).max()


def test_maps_are_those_of_the_first_sample() -> None:
    maps = draw(3, 5, 4, 6)
    sheet = map_sheet(maps)
    for number in range(5):
        assert close(tile(sheet, *divmod(number, 3), height=4, width=6), maps[0, number][..., None], sheet)
    assert not tile(sheet, 1, 2, height=4, width=6).any(), "no sixth map"


def test_what_is_not_a_number_is_shown_as_nothing() -> None:
    maps = np.array([[[[np.nan, 2.0], [np.inf, -1.0]]]], np.float32)
    sheet = map_sheet(maps)
    assert sheet.scale == 2
    assert close(tile(sheet, 0, 0, height=2, width=2)[..., 0], np.array([[0, 2], [0, -1]]), sheet)
    assert not tile(map_sheet(0 * draw(1, 1, 2, 2)), 0, 0, height=2, width=2).any()
