"""A bucket that speaks S3's protocol, from an unmodified moto server, and what `sluice` must be told to use it."""

import subprocess
import time
import urllib.request

from running import TAIL, free_ports, status

NAME = "models"
START_SECONDS = 60


class Bucket:
    """`moto_server` of a Python environment, with one empty bucket."""

    def __init__(self, python, folder):
        [port] = free_ports(1)
        self.endpoint, self.url = f"http://127.0.0.1:{port}", f"s3://{NAME}"
        self.log = (folder / "moto.log").open("w+", encoding="utf-8")
        command = [python.parent / "moto_server", "--host", "127.0.0.1", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while status(f"{self.endpoint}/moto-api/data.json") != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.log.seek(0)
                raise SystemExit(f"moto did not start: {self.log.read()[-TAIL:]}")
            time.sleep(0.1)
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{NAME}", method="PUT"), timeout=10).close()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def variables(self):
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        return {**keys, "AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true"}
