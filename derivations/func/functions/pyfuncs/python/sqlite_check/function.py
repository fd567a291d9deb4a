"""Exercises SQLite: in memory, and in a file where the host gives a place to write to."""

import os
import sqlite3
import tempfile


def tables_and_transactions():
    with sqlite3.connect(":memory:") as database:
        database.execute("create table things(name text primary key, size real, data blob)")
        database.executemany("insert into things values(?, ?, ?)", [("a", 1.5, b"\0\xff"), ("b", None, None)])
        assert database.execute("select * from things order by name").fetchall() == [("a", 1.5, b"\0\xff"), ("b", None, None)]
        database.commit()
        try:
            with database:
                database.execute("delete from things")
                database.execute("insert into things values(1, 2)")
        except sqlite3.OperationalError as error:
            assert "3 columns but 2 values" in str(error), error
        assert database.execute("select count(*) from things").fetchone() == (2,)
        try:
            database.execute("insert into things(name) values('a')")
        except sqlite3.IntegrityError:
            return
        raise AssertionError("a key was there twice")


def queries():
    with sqlite3.connect(":memory:") as database:
        numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) "
        assert database.execute(numbers + "select sum(i), avg(i) from n").fetchone() == (500500, 500.5)
        window = "select sum(i) over (order by i rows 2 preceding) from n limit 3"
        assert database.execute(numbers + window).fetchall() == [(1,), (3,), (6,)]
        assert database.execute("select json_extract('{\"a\": [1, 2]}', '$.a[1]'), round(sqrt(2), 3)").fetchone() == (2, 1.414)
        assert database.execute("select datetime(951782400, 'unixepoch')").fetchone() == ("2000-02-29 00:00:00",)


def full_text_search():
    with sqlite3.connect(":memory:") as database:
        for version in "fts4", "fts5":
            database.execute(f"create virtual table {version}_texts using {version}(text)")
            database.executemany(f"insert into {version}_texts values(?)", [("a cold start",), ("a warm start",)])
            found = database.execute(f"select text from {version}_texts where {version}_texts match 'warm'").fetchall()
            assert found == [("a warm start",)], version


def calls_back_into_python():
    class Longest:
        def __init__(self):
            self.longest = ""

        def step(self, text):
            self.longest = max(self.longest, text, key=len)

        def finalize(self):
            return self.longest

    with sqlite3.connect(":memory:") as database:
        database.create_function("twice", 1, lambda text: text * 2, deterministic=True)
        database.create_aggregate("longest", 1, Longest)
        database.create_collation("backwards", lambda one, other: (one < other) - (one > other))
        database.row_factory = sqlite3.Row
        rows = database.execute("select column1 as word from (values('a'), ('ccc'), ('bb')) order by column1 collate backwards")
        assert [row["word"] for row in rows] == ["ccc", "bb", "a"]
        row = database.execute("select twice(longest(column1)) as word from (values('a'), ('ccc'), ('bb'))").fetchone()
        assert row["word"] == "cccccc"
        database.create_function("fails", 0, lambda: 1 // 0)
        try:
            database.execute("select fails()").fetchone()
        except sqlite3.OperationalError:
            return
        raise AssertionError("a function that raises gave a row")


def copies():
    with sqlite3.connect(":memory:") as database, sqlite3.connect(":memory:") as copy:
        database.execute("create table t(data blob)")
        database.execute("insert into t values(zeroblob(5))")
        if hasattr(database, "blobopen"):  # since 3.11
            with database.blobopen("t", "data", 1) as blob:
                blob.write(b"blob")
        else:
            database.execute("update t set data = ?", (b"blob\0",))
        database.commit()
        database.backup(copy)
        assert copy.execute("select data from t").fetchone() == (b"blob\0",)
        if hasattr(database, "serialize"):  # since 3.11
            copy.execute("delete from t")
            copy.deserialize(database.serialize())
            assert copy.execute("select data from t").fetchone() == (b"blob\0",)
        assert list(database.iterdump())[1] == "CREATE TABLE t(data blob);"


def random_numbers():
    """They come from the host, not from the clock: two connections of one moment draw others."""
    drawn = {sqlite3.connect(":memory:").execute("select random()").fetchone() for _ in range(10)}
    assert len(drawn) == 10


def database_in_a_file(folder):
    """There are no locks in WASI: a folder beside the database says that somebody writes it."""
    path = os.path.join(folder, "things.db")
    with sqlite3.connect(path) as database:
        database.execute("create table t(i integer)")
        database.executemany("insert into t values(?)", ((i,) for i in range(10_000)))
    # There is no write-ahead log: it needs memory that processes share.
    assert database.execute("pragma journal_mode=wal").fetchone() == ("delete",)
    database.close()

    writer, other = sqlite3.connect(path), sqlite3.connect(path, timeout=0.1)
    writer.execute("begin immediate")
    writer.execute("delete from t where i % 2")
    try:
        other.execute("select count(*) from t").fetchone()
    except sqlite3.OperationalError as error:
        assert "locked" in str(error), error
    else:
        raise AssertionError("two connections had the lock")
    writer.rollback()
    writer.close()
    assert other.execute("select count(*), sum(i) from t").fetchone() == (10_000, 49_995_000)
    other.close()
    assert os.listdir(folder) == ["things.db"]

    # Nothing is locked where nothing can change.
    with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as database:
        assert database.execute("select max(i) from t").fetchone() == (9_999,)
    database.close()


CHECKS = [tables_and_transactions, queries, full_text_search, calls_back_into_python, copies, random_numbers]


def faasm_main():
    for check in CHECKS:
        check()
        print(f"{check.__name__}: ok")
    try:
        folder = tempfile.mkdtemp()
    except OSError:
        print("database_in_a_file: there is no place to write to")
        return
    database_in_a_file(folder)
    print("database_in_a_file: ok")
