"""Reads an export as an analyst would, and prints as JSON what it holds.

python read.py FOLDER: the folder has metrics, runs and calls, each as .csv, .json and .parquet.
"""

import json
import sys
from pathlib import Path

import duckdb
import pandas

FOLDER = Path(sys.argv[1])
PANDAS = {
    "csv": pandas.read_csv,
    "json": lambda path: pandas.read_json(path, lines=True),
    "parquet": pandas.read_parquet,
}


def with_pandas(table, form):
    frame = PANDAS[form](FOLDER / f"{table}.{form}")
    return {"rows": len(frame), "columns": len(frame.columns), "cost": int(frame["cost_nano_usd"].sum())}


def with_duckdb(table, form):
    path = FOLDER / f"{table}.{form}"
    rows, cost = duckdb.sql(f"SELECT COUNT(*), SUM(cost_nano_usd) FROM '{path}'").fetchall()[0]
    return {"rows": rows, "columns": len(duckdb.sql(f"SELECT * FROM '{path}'").columns), "cost": int(cost)}


def main():
    found = {}
    for table in ("metrics", "runs", "calls"):
        for form in ("csv", "json", "parquet"):
            found[f"{table}.{form}"] = {"pandas": with_pandas(table, form), "duckdb": with_duckdb(table, form)}
    # Runs and calls can be joined, moments are moments, and nothing is nothing.
    runs, calls = (f"'{FOLDER / name}.parquet'" for name in ("runs", "calls"))
    found["joined"] = duckdb.sql(
        f"SELECT r.coworker, COUNT(*), SUM(c.cost_nano_usd) FROM {calls} c JOIN {runs} r USING (run_id) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    found["type"] = duckdb.sql(f"SELECT typeof(ended_at) FROM {runs} LIMIT 1").fetchall()[0][0]
    found["failed"] = duckdb.sql(f"SELECT COUNT(*) FROM {runs} WHERE failure_code IS NOT NULL").fetchall()[0][0]
    found["longest"] = duckdb.sql(f"SELECT MAX(epoch_ms(ended_at) - epoch_ms(started_at) - duration_ms) FROM {runs}").fetchall()[0][0]
    json.dump(found, sys.stdout, default=int)


main()
