"""Whom the program believes over TLS: the certificates of the image, and nobody else."""

import contextlib
import http.server
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from container import Container, Volume, specification

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class Status(http.server.BaseHTTPRequestHandler):
    """Says what a server without a model would."""

    def do_GET(self):
        body = b'{"models": []}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def certificate(folder):
    """A new one for this machine, signed by itself, and its key."""
    key, made = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=sluice", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subprocess.run([*new, *subject, "-keyout", key, "-out", made], check=True, capture_output=True, timeout=60)
    made.chmod(0o644)
    return made, key


class Quiet(http.server.ThreadingHTTPServer):
    """A handshake that the other side breaks off is what is tried here."""

    def handle_error(self, *_):
        pass


@contextlib.contextmanager
def served(made, key):
    """A server with this certificate; where it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    with Quiet(("127.0.0.1", 0), Status) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def asked(image, url, volumes):
    """What `sluice status` ends with and says, in a container on this machine's network."""
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        words = ["sluice", "status", "--admin", url]
        container = Container("sluice-trust", specification(image.files, image.config, volumes, words, network=False), folder)
        try:
            return container.end(60), container.said()
        finally:
            container.remove()


def check(tally, image):
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        made, key = certificate(Path(folder))
        with served(made, key) as url:
            code, said = asked(image, url, [Volume(made, CERTIFICATES)])
            tally.check(f"over TLS it believes {CERTIFICATES}", [] if code == 0 else [f"exit {code}: {said}"])
            code, said = asked(image, url, [])
            tally.refused("a certificate that is not there", [said] if code else [], "certificate")
