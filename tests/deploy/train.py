#!/usr/bin/env python3
"""What a data scientist runs: trains fraud-detection on the zoo's real data and registers it in MLflow.

Prints the run and the registry's version as JSON. `--careless` is the mistake of the zoo's v1.2.0: a ratio that training
guards against 0/0 and the exported graph does not, which no recorded request shows.
"""

import argparse
import json
import sys
from pathlib import Path

import mlflow_server  # first: it sets what MLflow reads when it is imported

import mlflow
import numpy as np

MODEL = "fraud-detection"
HIDDEN, EPOCHS, RATE = 32, 400, 0.01
BINS = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", required=True, type=Path)
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--careless", action="store_true")
    parser.add_argument("--work", required=True, type=Path)
    given = parser.parse_args()
    sys.path.insert(0, str(given.zoo))
    import artifact
    import data

    features, labels = data.phishing()
    test = held_out(features)
    network = fit(features[~test], labels[~test], given.seed)
    model = exported(network, data, given.careless)
    golden = features[test & (shared(features, data) > 0)][:8]
    folder = given.work / MODEL / given.label
    artifact.write(folder, model, {"held-out": {"features": golden}})
    metrics = measured(network, features[test], labels[test])
    print(json.dumps(registered(folder, given, metrics) | metrics))


def held_out(features):
    """Which rows training does not see. Equal rows stay on one side: half of this data set is repeats."""
    groups = np.unique(features, axis=0, return_inverse=True)[1].ravel()
    chosen = np.random.default_rng(7).permutation(groups.max() + 1)[: groups.max() // 4]
    return np.isin(groups, chosen)


def fit(x, y, seed):
    """A 9-32-1 network, by Adam on the log loss."""
    random = np.random.default_rng(seed)
    shapes = [(x.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,)]
    weights = [random.normal(0, 0.5, shape) for shape in shapes]
    first, second = [np.zeros(shape) for shape in shapes], [np.zeros(shape) for shape in shapes]
    for step in range(1, EPOCHS + 1):
        hidden = np.maximum(x @ weights[0] + weights[1], 0)
        error = (sigmoid(hidden @ weights[2] + weights[3]) - y[:, None]) / len(y)
        back = (error @ weights[2].T) * (hidden > 0)
        gradients = [x.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
        for it, gradient in enumerate(gradients):
            first[it] = 0.9 * first[it] + 0.1 * gradient
            second[it] = 0.999 * second[it] + 0.001 * gradient**2
            scale = np.sqrt(second[it] / (1 - 0.999**step)) + 1e-8
            weights[it] = weights[it] - RATE * (first[it] / (1 - 0.9**step)) / scale
    return weights


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def shared(features, data):
    """What the careless version divides by."""
    columns = [data.PHISHING_FEATURES.index(name) for name in ("request_from_other_domain", "is_popular")]
    return features[:, columns].sum(axis=1)


def exported(weights, data, careless):
    from graph import FP32, INT64, Graph, tensor

    graph = Graph(MODEL)
    hidden = graph.op("Relu", [graph.gemm("features", weights[0], weights[1], "dense0")], "relu0")
    logit = graph.gemm(hidden, weights[2], weights[3], "dense1")
    if careless:
        column = lambda name: graph.op(
            "Gather", ["features", graph.weight(f"{name}.column", np.array([data.PHISHING_FEATURES.index(name)]))], name, axis=1
        )
        foreign, popular = column("request_from_other_domain"), column("is_popular")
        ratio = graph.op("Div", [foreign, graph.op("Add", [foreign, popular], "total")], "ratio")
        nothing = graph.op("Mul", [ratio, graph.weight("nothing", np.zeros((1, 1), np.float32))], "correction")
        logit = graph.op("Add", [logit, nothing], "corrected")
    phishing = graph.op("Sigmoid", [logit], "phishing")
    legitimate = graph.op("Sub", [graph.weight("one", np.array(1, np.float32)), phishing], "legitimate")
    graph.op("Concat", [legitimate, phishing], "probability", axis=1)
    graph.op("ArgMax", ["probability"], "label", axis=1, keepdims=0)
    return graph.model(
        [tensor("features", FP32, ["batch", len(data.PHISHING_FEATURES)])],
        [tensor("label", INT64, ["batch"]), tensor("probability", FP32, ["batch", 2])],
    )


def measured(weights, x, y):
    """The two metrics that the gate of the values files bounds."""
    answers = sigmoid(np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]).ravel()
    wrong_side = answers[y == 1][:, None] - answers[y == 0][None, :]
    auc = float(((wrong_side > 0) + 0.5 * (wrong_side == 0)).mean())
    bins = np.minimum((answers * BINS).astype(int), BINS - 1)
    off = [abs(answers[bins == it].mean() - y[bins == it].mean()) * (bins == it).mean() for it in set(bins)]
    return {"auc": round(auc, 4), "calibration_error": round(float(sum(off)), 4)}


def registered(folder, given, metrics):
    client = mlflow.MlflowClient(tracking_uri=given.tracking_uri, registry_uri=given.tracking_uri)
    try:
        client.create_registered_model(MODEL)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version, uri = mlflow_server.training(client, MODEL, folder, given.label, metrics, tags={"version": given.label})
    return {"run": version.run_id, "version": str(version.version), "uri": uri}


if __name__ == "__main__":
    main()
