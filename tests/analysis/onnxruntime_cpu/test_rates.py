"""The table of rates as a text: what is written is read again, and nothing else is taken for one."""

import json
import math
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgraph.analysis.onnxruntime_cpu.rates import SCHEMA, InvalidRates, Rates, committed

NUMBERS = st.floats(min_value=1e-30, max_value=1e30)


@given(
    block=st.sampled_from([1, 8, 16]),
    table=st.dictionaries(st.text(), NUMBERS | st.just(0.0)),
    machine=st.text(),
    runtime=st.text(),
)
def test_a_table_reads_back_as_it_was_written(
    block: int, table: dict[str, float], machine: str, runtime: str
) -> None:
    text = Rates(block=block, table=table, machine=machine, runtime=runtime).as_json()
    read = Rates.of_json(text)
    assert (read.block, read.machine, read.runtime) == (block, machine, runtime)
    assert read.table.keys() == table.keys()
    assert all(math.isclose(read[name], table[name], rel_tol=0.00501) for name in table)
    assert read.as_json() == text


def test_numbers_have_three_digits_and_names_are_in_order() -> None:
    rates = Rates(block=8, table={"b": 123456.0, "a": 1.23456e-10, "c": 2.0}, machine="m", runtime="r")
    assert rates.as_json().splitlines()[5:] == [
        ' "rates": {',
        '  "a": 1.23e-10,',
        '  "b": 123000.0,',
        '  "c": 2.0',
        " }",
        "}",
    ]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Rates(block=8, table={"a": number}).as_json()


def changed(**fields: Any) -> str:
    content = json.loads(Rates(block=8, table={"a": 1.0}, machine="m", runtime="r").as_json())
    return json.dumps({**content, **fields})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "not JSON"),
        (changed()[:-9], "not JSON"),
        ("[1]", "no JSON object"),
        (changed(schema=SCHEMA + 1), f"schema {SCHEMA + 1}"),
        (changed(schema=None), "schema None"),
        (changed(block=0), "blocks of 0 channels"),
        (changed(block="8"), "blocks of '8' channels"),
        (changed(block=True), "blocks of True channels"),
        (changed(rates=[1.0]), "rates that are no numbers"),
        (changed(rates={"a": "1"}), "rates that are no numbers"),
        (changed(rates={"a": None}), "rates that are no numbers"),
        (changed(rates={"a": True}), "rates that are no numbers"),
        (changed(rates={"a": math.nan}), "rates that are no numbers"),
    ],
)
def test_any_other_text_is_refused(text: str, found: str) -> None:
    assert Rates.of_json(changed()).table == {"a": 1.0}
    with pytest.raises(InvalidRates, match=found) as error:
        Rates.of_json(text, at="kept.json")
    assert error.value.at == "kept.json"


def test_the_committed_table_is_written_as_a_table_is() -> None:
    text = files("convgraph.analysis.onnxruntime_cpu").joinpath("rates.json").read_text(encoding="utf-8")
    rates = committed()
    assert rates.as_json() == text
    assert rates.machine
    assert rates.runtime
