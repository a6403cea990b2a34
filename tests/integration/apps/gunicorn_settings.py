"""What every gunicorn of the suite is started with."""

# Gunicorn 25.1 and later would put a socket into the home directory; older ones pass over a setting they do not know.
control_socket_disable = True


def post_worker_init(worker):
    """Runs once the worker has imported the application: "Booting worker" is logged before that."""
    worker.log.info("Worker ready: %s", worker.pid)
