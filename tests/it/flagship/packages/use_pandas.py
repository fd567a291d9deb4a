"""pandas' tables, groups, merges, files and times, each against what plain Python makes of it."""

import csv
import datetime
import io
import json
import pickle
import statistics
import tempfile

import pandas as pd

ROWS = [(name, kind, n * 7 % 13 / 4) for n, (name, kind) in enumerate(zip("abcdefghijkl", "xyzzyxxyzxyz"))]
FRAME = pd.DataFrame(ROWS, columns=["name", "kind", "size"])


def tables():
    assert FRAME.shape == (12, 3) and FRAME["size"].sum() == sum(size for _, _, size in ROWS)
    assert list(FRAME.sort_values(["size", "name"], ascending=[False, True])["name"]) == [
        name for name, _, size in sorted(ROWS, key=lambda row: (-row[2], row[0]))
    ]
    assert list(FRAME.loc[FRAME["size"] > 1, "name"]) == [name for name, _, size in ROWS if size > 1]
    assert FRAME["size"].rolling(3).max().dropna().tolist() == [max(row[2] for row in ROWS[n : n + 3]) for n in range(10)]
    assert FRAME["kind"].str.upper().value_counts().to_dict() == {"X": 4, "Y": 4, "Z": 4}
    missing = FRAME["size"].where(FRAME["size"] > 1)
    assert missing.isna().sum() == sum(size <= 1 for _, _, size in ROWS) and missing.fillna(0).min() == 0
    assert "name kind  size" in repr(FRAME)


def groups():
    groups = FRAME.groupby("kind")["size"].agg(["mean", "median", "std", "count"])
    for kind, row in groups.iterrows():
        sizes = [size for _, other, size in ROWS if other == kind]
        assert row["mean"] == statistics.mean(sizes) and row["median"] == statistics.median(sizes) and row["count"] == len(sizes)
        assert abs(row["std"] - statistics.stdev(sizes)) < 1e-12
    largest = FRAME.groupby("kind").apply(lambda group: group.nlargest(1, "size")["name"].iloc[0])
    assert largest.to_dict() == {kind: max(row[2::-2] for row in ROWS if row[1] == kind)[1] for kind in "xyz"}
    table = FRAME.pivot_table("size", "kind", FRAME["name"] < "g", aggfunc="sum")
    assert table.loc["x", True] == sum(size for name, kind, size in ROWS if kind == "x" and name < "g")


def merges():
    prices = pd.DataFrame({"kind": ["x", "y", "w"], "price": [2, 3, 5]})
    merged = FRAME.merge(prices, on="kind", how="left")
    plain = dict(zip(prices["kind"], prices["price"]))
    assert [None if pd.isna(price) else int(price) for price in merged["price"]] == [plain.get(kind) for _, kind, _ in ROWS]
    assert len(FRAME.merge(prices, on="kind", how="outer")) == 13
    joined = pd.concat([FRAME, FRAME]).drop_duplicates().set_index("name").join(merged.set_index("name")["price"])
    assert joined.index.tolist() == list("abcdefghijkl")


def files():
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([("name", "kind", "size"), *ROWS])
    assert pd.read_csv(io.StringIO(text.getvalue())).equals(FRAME)
    assert pd.read_csv(io.StringIO(text.getvalue()), engine="python").equals(FRAME)
    assert list(csv.reader(io.StringIO(FRAME.to_csv(index=False))))[1:] == [[name, kind, str(size)] for name, kind, size in ROWS]
    assert json.loads(FRAME.to_json(orient="values")) == [list(row) for row in ROWS]
    assert pd.read_json(io.StringIO(FRAME.to_json(orient="records"))).equals(FRAME)
    assert pickle.loads(pickle.dumps(FRAME)).equals(FRAME)
    with tempfile.TemporaryDirectory() as folder:
        for name, write, read in [
            ("table.csv.gz", lambda path: FRAME.to_csv(path, index=False), pd.read_csv),
            ("table.csv", lambda path: FRAME.to_csv(path, index=False), lambda path: pd.read_csv(path, memory_map=True)),
            ("table.pickle.xz", FRAME.to_pickle, pd.read_pickle),
            ("table.dta", lambda path: FRAME.to_stata(path, write_index=False), pd.read_stata),
        ]:
            write(f"{folder}/{name}")
            assert read(f"{folder}/{name}").equals(FRAME), name


def times():
    days = pd.date_range("2024-02-27", periods=60, freq="D")
    first = datetime.date(2024, 2, 27)
    assert [day.date() for day in days] == [first + datetime.timedelta(n) for n in range(60)]
    months = pd.Series(range(60), index=days).resample("MS").sum()
    assert months.to_dict() == {
        pd.Timestamp(2024, month, 1): sum(n for n in range(60) if (first + datetime.timedelta(n)).month == month) for month in (2, 3, 4)
    }
    summer = pd.Timestamp("2024-07-01 12:00", tz="Europe/Berlin")
    assert summer.tz_convert("UTC").hour == 10 and (summer + pd.offsets.MonthEnd()).day == 31
    assert pd.to_datetime(["3.2.2024", "29.2.2024"], format="%d.%m.%Y").strftime("%Y-%m-%d").tolist() == ["2024-02-03", "2024-02-29"]
    assert pd.Timedelta("1 days 2:03:04.000000005").value == (93784 * 10**9 + 5) and str(pd.Period("2024Q1") + 1) == "2024Q2"


def faasm_main():
    for check in (tables, groups, merges, files, times):
        check()
        print(f"pandas {check.__name__}: ok")
