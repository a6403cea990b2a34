"""A WSGI application whose every request is about 10 ms of Python, some 22 frames deep under a sync worker of gunicorn.

The work is a fixed amount and needs no clock, so a request that is held up takes longer and does not do less.
"""

import hashlib
import json

ROUNDS = 270


class Row:
    def __init__(self, number):
        self.number = number
        self.key = key_of(number)


def key_of(number):
    return number * 7919 % 101


def digest(row):
    return hashlib.sha1(str(row.number).encode()).hexdigest()


def serialize(rows):
    return json.dumps([[row.number, row.key, digest(row)] for row in rows])


def ordered(rows):
    return sorted(rows, key=lambda row: key_of(row.number))


def load(count):
    return [Row(number) for number in range(count)]


def query(count):
    return serialize(ordered(load(count)))


def view():
    return sum(len(query(40 + number % 3)) for number in range(ROUNDS))


def dispatch():
    return view()


def authorized():
    return dispatch()


def in_transaction():
    return authorized()


def in_session():
    return in_transaction()


def application(environ, start_response):
    body = str(in_session()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
