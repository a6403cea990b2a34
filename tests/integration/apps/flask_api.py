"""The routes of `api.py` as a Flask application: the same work under a real framework's stack."""

import os

from flask import Flask, request

from work import burn_cpu, held_request, mix, slow_query

application = Flask(__name__)


@application.route("/fast")
def fast():
    return str(os.getpid())


@application.route("/sleep")
def sleep():
    slow_query(float(request.args["s"]))
    return str(os.getpid())


@application.route("/burn")
def burn():
    burn_cpu(float(request.args["s"]))
    return str(os.getpid())


@application.route("/mix")
def mixed():
    mix(int(request.args.get("rounds", 1000)))
    return str(os.getpid())


@application.route("/open")
def opened():
    held_request(request.args["gate"])
    return str(os.getpid())
