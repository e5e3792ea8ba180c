"""Solves every .lp file of a folder with HiGHS and compares with the best noted at its top.

    python highs_check.py FOLDER

Prints one JSON line a file and leaves with 1 where a best differs by half a cent or more.
"""

import json
import pathlib
import sys
import time

import highspy


def best(path):
    solver = highspy.Highs()
    solver.silent()
    if solver.readModel(str(path)) == highspy.HighsStatus.kError:
        raise SystemExit(f"failed to read {path}")
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 1e-6)
    begun = time.process_time()
    solver.run()
    spent = time.process_time() - begun
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return solver.getInfo().objective_function_value, spent
    if status == highspy.HighsModelStatus.kInfeasible:
        return None, spent
    raise SystemExit(f"{path}: HiGHS ended with {solver.modelStatusToString(status)}")


def main(folder):
    wrong = 0
    files = sorted(pathlib.Path(folder).glob("*.lp"))
    for path in files:
        with open(path, encoding="utf-8") as text:
            noted = text.readline().split()[-1]
        noted = None if noted == "none" else float(noted)
        found, spent = best(path)
        both = noted is not None and found is not None
        same = abs(noted - found) < 0.005 if both else noted is found
        wrong += not same
        print(json.dumps({"file": path.name, "noted": noted, "highs": found, "cpu_s": spent,
                          "same": same}))
    raise SystemExit(1 if wrong or not files else 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
