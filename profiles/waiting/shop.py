"""A shop whose cart asks a slow service of prices over a new connection each time, and adds up in Python under the GIL."""

import hashlib
import http.client

from flask import Flask, jsonify

app = Flask(__name__)


def prices(cart):
    """Waits for the service of prices: 20 ms."""
    service = http.client.HTTPConnection("127.0.0.1", 8301, timeout=10)
    try:
        service.request("GET", f"/prices/{cart}")
        return [int(price) for price in service.getresponse().read().split()]
    finally:
        service.close()


def checksum(price):
    """Some 5 ms of Python for a whole cart, while which no other thread of the worker has the GIL."""
    digest = str(price)
    for _ in range(120):
        digest = hashlib.sha1(digest.encode()).hexdigest()
    return digest


@app.get("/carts/<int:cart>")
def carts(cart):
    lines = [{"price": price, "sum": checksum(price)} for price in prices(cart)]
    return jsonify(lines)
