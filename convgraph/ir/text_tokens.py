"""The words of the text form: names, types, numbers, constant data; written and read."""

import base64
import json
import math
import re
from collections.abc import Mapping

import numpy as np

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Array, DataType, Dim, Tensor, TensorType

INLINE = 16  # elements: a larger constant is named by its digest
_DIGEST = 16  # hexadecimal digits
_LABELS = {dtype.label: dtype for dtype in DataType}

_PLAIN_NAME = re.compile(r"[\w./-]+(:+[\w./-]+)*", re.ASCII)
_TOKEN = re.compile(
    r'\s*(%(?:"(?:\\.|[^"\\])*"|[\w./-]+(?::+[\w./-]+)*)'  # a value's name
    r'|"(?:\\.|[^"\\])*"'  # a string
    r"|-?(?:\d[\w.+-]*|inf\b|nan\b)"  # a number
    r"|[A-Za-z_]\w*|->|[][(){}=:,|@?*!])",  # words and signs
    re.ASCII,
)


class Tokens:
    """The tokens of a text, read from first to last."""

    def __init__(self, text: str) -> None:
        self._lines: list[int] = []
        self._tokens: list[str] = []
        position, line, text = 0, 1, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            start = match.start(1) if match else len(text) - len(text[position:].lstrip())
            line += text.count("\n", position, start)
            if match is None:
                found = repr(text[start : start + 20])
                raise InvalidModel(f"line {line}", found=found, expected="a token")
            self._tokens.append(match.group(1))
            self._lines.append(line)
            position = match.end()
        self._at = 0

    def peek(self) -> str:
        """The next token, "" at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        """The next token, taken."""
        token = self.peek()
        self._at += 1
        return token

    def take(self, token: str) -> bool:
        """Whether the next token is this one, which is then taken."""
        found = self.peek() == token
        self._at += found
        return found

    def expect(self, *tokens: str) -> None:
        """Take these tokens. Raises InvalidModel, naming the line, for anything else."""
        for token in tokens:
            if not self.take(token):
                raise self.error(f"{token!r}")

    def error(self, expected: str) -> InvalidModel:
        """The error of an unexpected token."""
        line = self._lines[min(self._at, len(self._lines) - 1)] if self._lines else 1
        return InvalidModel(f"line {line}", found=repr(self.peek() or "the end"), expected=expected)

    def string(self) -> str:
        """A quoted string."""
        if not self.peek().startswith('"'):
            raise self.error("a string")
        return str(json.loads(self.next()))

    def word(self) -> str:
        """A name of an attribute, plain or quoted."""
        return self.string() if self.peek().startswith('"') else self.next()

    def integer(self) -> int:
        """A whole number."""
        value = self.number()
        if not isinstance(value, int):
            raise self.error("a whole number")
        return value

    def number(self) -> int | float:
        """A number; with a point, an exponent, inf or nan it is a float."""
        token = self.next()
        try:
            return _parsed(token)
        except ValueError:
            self._at -= 1
            raise self.error("a number") from None


def value_name(name: str) -> str:
    """How a value is written; ``_`` for one without a name."""
    if not name:
        return "_"
    return "%" + (name if _PLAIN_NAME.fullmatch(name) else json.dumps(name))


def read_value_name(tokens: Tokens) -> str:
    """A value's name, "" for ``_``."""
    if tokens.take("_"):
        return ""
    if not tokens.peek().startswith("%"):
        raise tokens.error("a value")
    token = tokens.next()[1:]
    return str(json.loads(token)) if token.startswith('"') else token


def type_text(type_: TensorType) -> str:
    """A type as ``float32[1, N, "(H-1)//2+1", ?]``; ``[*]`` when not even the rank is known."""
    if type_.shape is None:
        return f"{type_.dtype.label}[*]"
    return f"{type_.dtype.label}[{', '.join(_dim_text(dim) for dim in type_.shape)}]"


def _dim_text(dim: Dim) -> str:
    if dim is None:
        return "?"
    return str(dim) if isinstance(dim, int) or (dim.isidentifier() and dim.isascii()) else json.dumps(dim)


def is_element_type(token: str) -> bool:
    """Whether a token names an element type."""
    return token in _LABELS


def read_element_type(tokens: Tokens) -> DataType:
    """An element type by numpy's name."""
    if not is_element_type(tokens.peek()):
        raise tokens.error("an element type")
    return _LABELS[tokens.next()]


def read_type(tokens: Tokens) -> TensorType:
    """A type."""
    dtype = read_element_type(tokens)
    tokens.expect("[")
    if tokens.take("*"):
        tokens.expect("]")
        return TensorType(dtype)
    dims: list[Dim] = []
    while not tokens.take("]"):
        dims.append(_read_dim(tokens))
        tokens.take(",")
    return TensorType(dtype, shape=tuple(dims))


def _read_dim(tokens: Tokens) -> Dim:
    if tokens.take("?"):
        return None
    token = tokens.peek()
    if token[:1].isdigit():
        return tokens.integer()
    return tokens.word()


def tensor_text(tensor: Tensor) -> str:
    """Constant data: element by element when small, else the beginning of its digest."""
    if tensor.size > INLINE:
        return f'sha256 "{tensor.digest()[:_DIGEST]}"'
    array = tensor.numpy()
    elements = _literals(array)
    return base64_text(array.tobytes()) if elements is None else f"[{', '.join(elements)}]"


def base64_text(data: bytes) -> str:
    """Bytes that have no plainer form."""
    return f'base64 "{base64.b64encode(data).decode()}"'


def _literals(array: Array) -> list[str] | None:
    """The elements in their shortest exact form; None where there is none, as for a NaN's payload."""
    if array.dtype == object:
        return [json.dumps(text) for text in array.reshape(-1).tolist()]
    if array.dtype.kind == "c":
        return None
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array.reshape(-1).tolist()]
    texts = [str(value) for value in array.reshape(-1)]
    exact = np.array([_parsed(text) for text in texts]).astype(array.dtype).tobytes() == array.tobytes()
    return texts if exact else None


def _parsed(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def read_tensor(tokens: Tokens, type_: TensorType, *, name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """Constant data of a type; what is only named by its digest is taken from ``tensors`` by ``name``.

    Raises InvalidModel when it is not there or is not the one named.
    """
    if type_.static_shape is None:
        raise InvalidModel(name, found=f"constant data of type {type_}", expected="known sizes")
    if tokens.take("sha256"):
        digest = tokens.string()
        if name not in tensors or not tensors[name].digest().startswith(digest):
            raise InvalidModel(name, found=f"no tensor with digest {digest}", expected="it among the tensors")
        return tensors[name]
    dtype, shape = type_.dtype.numpy, type_.static_shape
    if tokens.take("base64"):
        data = base64.b64decode(tokens.string())
        return Tensor(np.frombuffer(data, dtype=dtype).reshape(shape))
    elements = read_list(tokens)
    if len(elements) != math.prod(shape):
        raise InvalidModel(name, found=f"{len(elements)} elements", expected=f"as many as {type_} has")
    source = object if type_.dtype is DataType.STRING else None
    return Tensor(np.array(elements, dtype=source).astype(dtype).reshape(shape))


def read_list(tokens: Tokens) -> list[int | float | str | bool]:
    """Literals in square brackets."""
    tokens.expect("[")
    items: list[int | float | str | bool] = []
    while not tokens.take("]"):
        items.append(read_literal(tokens))
        tokens.take(",")
    return items


def read_literal(tokens: Tokens) -> int | float | str | bool:
    """A number, a string, true or false."""
    if tokens.peek() in ("true", "false"):
        return tokens.next() == "true"
    return tokens.string() if tokens.peek().startswith('"') else tokens.number()
