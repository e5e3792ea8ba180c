#!/usr/bin/env python3
"""Times `headgate prices import` beside pandas doing the same files into SQLite.

    python3 bench_import.py HEADGATE FOLDER WORKBOOK_ROWS

Makes the files in FOLDER where they are not there yet: a year of one real-time workbook with a
sheet a month, and a year of five-minute prices as canonical CSV. Each program runs as a process of
its own; wall time, CPU seconds and peak memory are those of the process. Prints one JSON document.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

POINTS = [f"HB_{n:02}" for n in range(32)]
PANDAS = """
import pandas, sqlite3, sys
kind, path, out = sys.argv[1:]
if kind == "workbook":
    frames = pandas.read_excel(path, sheet_name=None, engine="openpyxl")
    frame = pandas.concat(frames.values())
else:
    frame = pandas.read_csv(path, parse_dates=["interval_start_utc"])
with sqlite3.connect(out) as store:
    frame.to_sql("prices", store, if_exists="replace", index=False)
print(len(frame))
"""


def workbook(path, rows):
    import openpyxl

    head = ["Delivery Date", "Delivery Hour", "Delivery Interval", "Repeated Hour Flag",
            "Settlement Point Name", "Settlement Point Type", "Settlement Point Price"]
    book = openpyxl.Workbook(write_only=True)
    day, made, sheet, month = datetime.date(2025, 1, 1), 0, None, 0
    while made < rows and day.year == 2025:
        if day.month != month:
            month = day.month
            sheet = book.create_sheet(day.strftime("%b"))
            sheet.append(head)
        for quarter in range(96):
            hour = quarter // 4 + 1
            # The hour that the clocks skip, and the one that they repeat, are left out.
            if (day.month, day.day, hour) in ((3, 9, 3), (11, 2, 2)):
                continue
            for n, point in enumerate(POINTS):
                price = (made * 37 + n) % 9000 / 100
                sheet.append([day.strftime("%m/%d/%Y"), hour, quarter % 4 + 1, "N", point, "HU",
                              price])
                made += 1
        day += datetime.timedelta(days=1)
    book.save(path)


def canonical(path):
    at = datetime.datetime(2025, 1, 1)
    with open(path, "w") as out:
        out.write("interval_start_utc,HB_WEST\n")
        for n in range(105_120):
            out.write(f"{at:%Y-%m-%dT%H:%M:%SZ},{n * 37 % 9000 / 100:.2f}\n")
            at += datetime.timedelta(minutes=5)


def timed(command):
    """Wall time, CPU seconds and peak memory of a process that must succeed."""
    wall = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - wall
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    headgate, folder, rows = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    cases = [("csv", folder / "canonical.csv", canonical, 105_120, "nem"),
             ("workbook", folder / f"rtm_{rows}.xlsx", lambda p: workbook(p, rows), rows, "ercot")]
    out = []
    for case, path, make, n, market in cases:
        if not path.exists():
            make(path)
        store = folder / "store"
        subprocess.run(["rm", "-rf", store, folder / "pandas.sqlite"], check=True)
        ours = timed([headgate, "prices", "import", "--market", market, "--data", store,
                      path])
        theirs = timed([sys.executable, "-c", PANDAS, case, path, folder / "pandas.sqlite"])
        out.append({"case": case, "n": n, "ours_s": ours[0], "ours_cpu_s": ours[1],
                    "anchor": "pandas", "anchor_s": theirs[0], "anchor_cpu_s": theirs[1],
                    "ratio": ours[0] / theirs[0], "ours_mb": ours[2], "anchor_mb": theirs[2]})
    print(json.dumps({"bench": "import", "rows": out}))


if __name__ == "__main__":
    main()
