"""Rows of an export are counted from its bytes, however they are cut; what is not whole is refused."""

import csv
import io

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.export_rows import CsvRows, ParquetRows, RowCounter
from tocsin.errors import ExportError

TEXTS = st.text(alphabet='ab"\n\r,', max_size=6)


def feed(counter: RowCounter, data: bytes, size: int) -> RowCounter:
    for start in range(0, len(data), size):
        counter.feed(data[start : start + size])
    return counter


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), st.integers(1, 9))
def test_lines_of_csv_are_counted_whatever_fields_hold(rows: list[tuple[str, str]], size: int) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    writer.writerows(rows)
    assert feed(CsvRows(), text.getvalue().encode(), size).rows() == len(rows)


@pytest.mark.parametrize("text", ["", '"a"\n"cut', '"a'])
def test_csv_that_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises(ExportError, match="cut off"):
        feed(CsvRows(), text.encode(), 3).rows()


def parquet(rows: int, columns: int = 2, group: int = 1000) -> bytes:
    table = pa.table({f"column_{number}": list(range(rows)) for number in range(columns)})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, row_group_size=group)
    return file.getvalue()


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (1, 1), (20_000, 20)])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_rows_of_parquet_stand_in_its_footer(rows: int, columns: int, size: int) -> None:
    assert feed(ParquetRows(), parquet(rows, columns), size).rows() == rows


@pytest.mark.parametrize("cut", [1, 8, 5000])
def test_parquet_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ExportError, match="cut off"):
        feed(ParquetRows(), parquet(5000)[:-cut], 1000).rows()
