"""A booking office, as small as it can be and still be slow where real ones are.

Citizens book appointments for services; everything is in one SQLite file. Two functions do more work the more is booked:
`serialize_appointments`, which spends it in Python, and `find_free_slots`, which spends it in the database.
"""

import datetime
import os
import random
import sqlite3
import uuid

from flask import Flask, abort, g, jsonify, request

DATABASE = os.environ.get("BOOKING_DATABASE", "booking.sqlite")
OPENING = datetime.datetime(2030, 3, 4, 8, 0)
COUNTERS = 6
SLOTS = 32
SLOT = datetime.timedelta(minutes=15)

SCHEMA = """
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE service (id INTEGER PRIMARY KEY, category_id INTEGER NOT NULL REFERENCES category, name TEXT NOT NULL,
                      minutes INTEGER NOT NULL);
CREATE TABLE citizen (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
CREATE TABLE appointment (id TEXT PRIMARY KEY, service_id INTEGER NOT NULL REFERENCES service,
                          citizen_id TEXT NOT NULL REFERENCES citizen, starts_at TEXT NOT NULL, comment TEXT NOT NULL);
"""
CATEGORIES = ["Papers", "Vehicles"]
SERVICES = [(1, "Passport", 15), (1, "Driver's licence", 20), (1, "Identity card", 15), (2, "Registration", 30)]

app = Flask(__name__)


def database():
    """The connection of this request."""
    if "database" not in g:
        g.database = connect()
    return g.database


def connect():
    connection = sqlite3.connect(DATABASE, timeout=10, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = OFF")
    return connection


@app.teardown_appcontext
def close(_error):
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()


def slot_times():
    """When the office can be visited: the same day for everybody."""
    return [(OPENING + at * SLOT).isoformat(timespec="minutes") for at in range(SLOTS)]


def seed():
    """The data at the start, the same every time: years of old appointments, and a few for the day."""
    chance = random.Random(4)
    connection = connect()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO category (name) VALUES (?)", [(name,) for name in CATEGORIES])
    connection.executemany("INSERT INTO service (category_id, name, minutes) VALUES (?, ?, ?)", SERVICES)
    citizens = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(400)]
    people = [(citizen, f"Citizen {at}", f"citizen{at}@example.com") for at, citizen in enumerate(citizens)]
    connection.executemany("INSERT INTO citizen VALUES (?, ?, ?)", people)
    booked = []
    for at in range(6000):
        day = OPENING - datetime.timedelta(days=chance.randint(1, 700))
        when = day + chance.randrange(SLOTS) * SLOT
        booked.append(appointment_row(chance, citizens, when.isoformat(timespec="minutes"), f"old {at}"))
    for at in range(40):
        booked.append(appointment_row(chance, citizens, chance.choice(slot_times()), f"new {at}"))
    connection.executemany("INSERT INTO appointment VALUES (?, ?, ?, ?, ?)", booked)
    connection.execute("COMMIT")
    connection.close()


def appointment_row(chance, citizens, starts_at, comment):
    key = str(uuid.UUID(int=chance.getrandbits(128)))
    return (key, chance.randint(1, len(SERVICES)), chance.choice(citizens), starts_at, comment)


def find_free_slots(service_id):
    """The times at which a counter is free. One query for each time, and no index that any of them could use."""
    free = []
    for starts_at in slot_times():
        found = database().execute("SELECT count(*) FROM appointment WHERE starts_at = ?", (starts_at,)).fetchone()
        if found[0] < COUNTERS:
            free.append({"service_id": service_id, "starts_at": starts_at, "counters": COUNTERS - found[0]})
    return free or [{"service_id": service_id, "starts_at": slot_times()[-1], "counters": 0}]


def serialize_appointments(rows):
    """All appointments for the outside. Counts for each one who comes before it, which takes the square of their number."""
    serialized = []
    for row in rows:
        appointment = serialize_appointment(row)
        appointment["ahead"] = sum(comes_before(other, row) for other in rows)
        serialized.append(appointment)
    return serialized


def comes_before(one, other):
    return (one["starts_at"], one["id"]) < (other["starts_at"], other["id"])


def serialize_appointment(row):
    starts_at = datetime.datetime.fromisoformat(row["starts_at"])
    return {
        "id": row["id"],
        "service_id": row["service_id"],
        "citizen": {"id": row["citizen_id"]},
        "day": starts_at.strftime("%A, %d %B %Y"),
        "time": starts_at.strftime("%H:%M"),
        "comment": row["comment"],
    }


def appointment_or_404(key):
    row = database().execute("SELECT * FROM appointment WHERE id = ?", (key,)).fetchone()
    return row or abort(404)


def wanted(*fields):
    """These fields of the request's JSON, all of which it must have."""
    body = request.get_json()
    if not isinstance(body, dict) or not all(field in body for field in fields):
        abort(400)
    return [body[field] for field in fields]


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.get("/categories")
def list_categories():
    return jsonify(categories=[dict(row) for row in database().execute("SELECT * FROM category")])


@app.get("/services")
def list_services():
    return jsonify(services=[dict(row) for row in database().execute("SELECT * FROM service ORDER BY id")])


@app.get("/services/<int:service_id>/slots")
def list_slots(service_id):
    return jsonify(slots=find_free_slots(service_id))


@app.post("/citizens")
def create_citizen():
    name, email = wanted("name", "email")
    key = str(uuid.uuid4())
    database().execute("INSERT INTO citizen VALUES (?, ?, ?)", (key, name, email))
    return jsonify(id=key, name=name, email=email), 201


@app.get("/citizens/<key>")
def get_citizen(key):
    row = database().execute("SELECT * FROM citizen WHERE id = ?", (key,)).fetchone() or abort(404)
    return jsonify(dict(row))


@app.get("/appointments")
def list_appointments():
    query = "SELECT * FROM appointment WHERE starts_at >= ? ORDER BY starts_at"
    rows = database().execute(query, (slot_times()[0],)).fetchall()
    return jsonify(appointments=serialize_appointments(rows))


@app.post("/appointments")
def create_appointment():
    service_id, citizen_id, starts_at = wanted("service_id", "citizen_id", "starts_at")
    key = str(uuid.uuid4())
    comment = request.get_json().get("comment", "")
    row = (key, service_id, citizen_id, starts_at, comment)
    database().execute("INSERT INTO appointment VALUES (?, ?, ?, ?, ?)", row)
    return jsonify(serialize_appointment(appointment_or_404(key))), 201


@app.get("/appointments/<key>")
def get_appointment(key):
    return jsonify(serialize_appointment(appointment_or_404(key)))


@app.put("/appointments/<key>")
def update_appointment(key):
    appointment_or_404(key)
    (comment,) = wanted("comment")
    database().execute("UPDATE appointment SET comment = ? WHERE id = ?", (comment, key))
    return jsonify(serialize_appointment(appointment_or_404(key)))


@app.delete("/appointments/<key>")
def delete_appointment(key):
    appointment_or_404(key)
    database().execute("DELETE FROM appointment WHERE id = ?", (key,))
    return "", 204
