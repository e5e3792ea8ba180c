"""Reads a sweep's Parquet with Apache Arrow and compares it with its CSV, value by value.

    python check_parquet.py sweep.parquet sweep.csv
"""

import csv
import datetime
import decimal
import sys

import pyarrow.parquet


def same(value, text):
    if value is None:
        return text == ""
    if isinstance(value, decimal.Decimal):
        return value == decimal.Decimal(text)
    if isinstance(value, datetime.datetime):
        return value == datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return str(value) == text


table = pyarrow.parquet.read_table(sys.argv[1])
with open(sys.argv[2], newline="") as file:
    rows = list(csv.DictReader(file))
assert table.num_rows == len(rows) > 0, (table.num_rows, len(rows))
assert table.column_names == list(rows[0]), table.column_names
for number, (ours, theirs) in enumerate(zip(table.to_pylist(), rows)):
    for name, value in ours.items():
        assert same(value, theirs[name]), (number, name, value, theirs[name])
print(f"{len(rows)} rows of {len(table.column_names)} columns agree")
