"""Callers: real rows, sent at a steady rate, every answer looked at."""

import http.client
import json
import math
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30
CALLERS = 4
LOST_TOLD = 5


class Replay:
    """Sends `rows`, one in each request, from the start of its block to its end."""

    def __init__(self, url, model, rows, rate):
        self.host, self.path, self.rows = urlsplit(url).netloc, f"/v2/models/{model}/infer", rows
        self.pause = CALLERS / rate
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.lost, self.nan, self.answers = [], 0, Counter()
        self.threads = [threading.Thread(target=self.call, args=(it,)) for it in range(CALLERS)]

    def __enter__(self):
        self.started = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        self.seconds = time.monotonic() - self.started

    def call(self, number):
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
        due = time.monotonic()
        while not self.ended.is_set():
            row = self.rows[number % len(self.rows)]
            number += CALLERS
            self.ask(connection, row)
            due += self.pause
            self.ended.wait(max(0, due - time.monotonic()))
        connection.close()

    def ask(self, connection, row):
        tensor = {"name": "features", "shape": [1, len(row)], "datatype": "FP32", "data": row}
        try:
            connection.request("POST", self.path, json.dumps({"inputs": [tensor]}), {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return self.note_lost(f"{answer.status}: {body[:200]!r}")
            outputs = {it["name"]: it["data"] for it in json.loads(body)["outputs"]}
            numbers = outputs["probability"]
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            # A truncated answer and one that says something else are no answer either.
            connection.close()
            return self.note_lost(repr(error))
        with self.lock:
            self.answers[answer.headers["x-sluice-version"], answer.headers["x-sluice-variant"]] += 1
            self.nan += any(it is None or math.isnan(it) for it in numbers)

    def note_lost(self, why):
        with self.lock:
            if len(self.lost) < LOST_TOLD:
                self.lost.append(why)

    def stopped_early(self):
        """Whether a caller did not go on to the end: it would have lost what it did not ask. Busy machines are slow."""
        asked, due = sum(self.answers.values()), self.seconds * CALLERS / self.pause
        if asked < due / 2:
            yield f"{asked} requests in {self.seconds:.0f} s, where {due:.0f} were due"

    def answered_by(self, version, variant):
        with self.lock:
            return self.answers[version, variant]

    def total(self):
        with self.lock:
            return sum(self.answers.values())

    def until(self, holds, limit):
        """Whether it comes to hold in time, as callers go on."""
        deadline = time.monotonic() + limit
        while not holds() and time.monotonic() < deadline:
            time.sleep(self.pause / CALLERS)
        return bool(holds())

    def told(self):
        with self.lock:
            return ", ".join(f"{count} by {version} as {variant}" for (version, variant), count in sorted(self.answers.items()))
