"""The slow service of prices: 40 numbers after 20 ms, to whoever asks."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICES = " ".join(str(number * 37) for number in range(40)).encode()


class Prices(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.02)
        self.send_response(200)
        self.send_header("Content-Length", str(len(PRICES)))
        self.end_headers()
        self.wfile.write(PRICES)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 8301), Prices).serve_forever()
