"""A real MLflow server, and what a training job tells it. Needs the Python environment that has MLflow."""

import os
import signal
import subprocess
import sys
import time

from running import free_ports, status, TAIL

START_SECONDS = 120
END_SECONDS = 10
# Before MLflow is imported by whoever imports this: no report leaves the machine, and no job runs beside the server.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
os.environ.update(SETTINGS)


class MlflowServer:
    """`mlflow server` on a free port of the loopback; `backend` is a file for SQLite, or the URL of a database."""

    def __init__(self, folder, backend, artifact_root, *words, python=sys.executable):
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        backend = backend if "://" in str(backend) else f"sqlite:///{backend}"
        command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", backend, "--default-artifact-root", artifact_root, "--workers", "1", *words]
        self.log = (folder / "mlflow.log").open("w+", encoding="utf-8")
        # A group of its own: it starts workers, which must end with it.
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def __enter__(self):
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait(self):
        """Until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while status(f"{self.url}/health") != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise SystemExit(f"mlflow server did not start: {self.log.read()[-TAIL:]}")
            time.sleep(0.1)

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                try:
                    self.process.wait(timeout=END_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        self.log.close()


def training(client, name, folder, label, metrics, model_metrics=None, tags=None):
    """A run that measures and logs the artifact in `folder`, registered: the version, and where MLflow keeps it. A metric of
    the model may be a list, of what it was at each step.
    """
    run = client.create_run("0").info.run_id
    logged = client.create_logged_model("0", name="model", source_run_id=run)
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    for key, value in metrics.items():
        client.log_metric(run, key, value)
    for key, values in (model_metrics or {}).items():
        for step, value in enumerate(values if isinstance(values, list) else [values]):
            client.log_metric(run, key, value, step=step, model_id=logged.model_id)
    tags = {"version": label, "offline_tests": "passed"} if tags is None else tags
    source = f"models:/{logged.model_id}"
    version = client.create_model_version(name, source=source, run_id=run, tags=tags, model_id=logged.model_id)
    return version, client.get_model_version_download_uri(name, version.version)
