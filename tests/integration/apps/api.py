"""A plain WSGI application with one route for each kind of work; needs nothing but gunicorn."""

import os
from urllib.parse import parse_qs

from work import burn_cpu, held_request, mix, slow_query


def fast(query):
    pass


def sleep(query):
    slow_query(float(query["s"]))


def burn(query):
    burn_cpu(float(query["s"]))


def mixed(query):
    mix(int(query.get("rounds", 1000)))


def opened(query):
    held_request(query["gate"])


ROUTES = {"/fast": fast, "/sleep": sleep, "/burn": burn, "/mix": mixed, "/open": opened}


def application(environ, start_response):
    """Does the work of the route and answers with the pid of the worker that did it."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    view = ROUTES.get(environ["PATH_INFO"])
    if view is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such route"]
    view(query)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
