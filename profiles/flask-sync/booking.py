"""A small booking API with a slow query and a slow serializer in it, as in real life."""

import sqlite3

from flask import Flask, jsonify

app = Flask(__name__)


def connect():
    connection = sqlite3.connect("file:booking?mode=memory&cache=shared", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def fill(connection):
    connection.execute("CREATE TABLE IF NOT EXISTS appointment (citizen TEXT, service TEXT, day INTEGER)")
    rows = [(f"citizen {number % 500}", f"service {number % 20}", number % 365) for number in range(5000)]
    connection.executemany("INSERT INTO appointment VALUES (?, ?, ?)", rows)
    connection.commit()


database = connect()
fill(database)


def appointments_of(citizen):
    """The slow query: no index, and a pattern that starts with a wildcard."""
    return connect().execute("SELECT * FROM appointment WHERE citizen LIKE ?", (f"%{citizen}",)).fetchall()


def serialize(row):
    """The slow serializer: it builds and sorts a dictionary for each field."""
    fields = {}
    for key in row.keys():
        fields.update(dict(sorted({key: str(row[key]).strip(), "type": type(row[key]).__name__}.items())))
    return fields


@app.get("/appointments/<citizen>")
def appointments(citizen):
    return jsonify([serialize(row) for row in appointments_of(citizen)])


@app.get("/days")
def days():
    rows = connect().execute("SELECT day, service FROM appointment ORDER BY day").fetchall()
    return jsonify([serialize(row) for row in rows[:800]])


@app.get("/health")
def health():
    return "ok"
