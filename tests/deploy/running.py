"""A sluice that runs: started, asked over HTTP, listened to, stopped."""

import signal
import socket
import subprocess
import urllib.error
import urllib.request

TAIL = 4000


class Sluice:
    """A process, with what it says in a file."""

    def __init__(self, program, words, log):
        self.log = log.open("w+", encoding="utf-8")
        self.process = subprocess.Popen([program, *words], stdout=self.log, stderr=subprocess.STDOUT)

    def said(self):
        self.log.seek(0)
        return self.log.read()[-TAIL:]

    def ended(self):
        """Why there is nothing to wait for any more, nothing while it runs."""
        status = self.process.poll()
        return None if status is None else f"it ended with {status}: {self.said()}"

    def ask_to_end(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self, grace):
        """Its exit status, `None` where it does not end in time."""
        try:
            return self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def free_ports(count):
    """Held together until all are found, so that no two are one."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def text(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def status(url):
    """The status of an answer, 0 where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
