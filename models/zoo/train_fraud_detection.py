"""`fraud-detection`: is this web site phishing? Four versions on real data, one signature.

features FP32 [-1, 9] -> label INT64 [-1], probability FP32 [-1, 2] (not phishing, phishing).

v1.0.0 logistic regression · v1.1.0 a better network · v1.2.0 a network whose export lost a guard, so that it answers
NaN for a share of real sites · v1.3.0 the v1.1.0 recipe with another seed; `build.py` damages it after signing.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import artifact
import data
from graph import FP32, INT64, Graph, tensor

MODEL = "fraud-detection"
SEED = 7
EPOCHS = 120
TRAFFIC_ROWS = 400
FOREIGN = data.PHISHING_FEATURES.index("request_from_other_domain")
POPULAR = data.PHISHING_FEATURES.index("is_popular")


def build(artifacts: Path, traffic: Path) -> dict:
    """Trains and writes every version and the replay traffic; returns the held-out metrics by version."""
    features, labels = data.phishing()
    train, test = _split(features)
    x, y = features[train], labels[train]
    models = {
        "v1.0.0": logistic(x, y),
        "v1.1.0": network(x, y, SEED),
        "v1.2.0": network_with_lost_guard(x, y, SEED + 1),
        "v1.3.0": network(x, y, SEED + 2),
    }
    goldens = {name: {"features": rows} for name, rows in _goldens(features[test], labels[test]).items()}
    metrics = {}
    for version, model in models.items():
        artifact.write(artifacts / MODEL / version, model, goldens)
        metrics[version] = _metrics(model, features, labels, test)
    order = np.random.default_rng(SEED).permutation(len(features))[:TRAFFIC_ROWS]
    rows = ",\n".join(str(row) for row in features[order].tolist())
    (traffic / f"{MODEL}.json").write_text(f"[\n{rows}\n]\n", "utf-8")
    return metrics


def logistic(x: np.ndarray, y: np.ndarray) -> onnx.ModelProto:
    """StandardScaler and LogisticRegression, as skl2onnx exports them."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    return convert_sklearn(
        pipeline,
        name=MODEL,
        initial_types=[("features", FloatTensorType([None, x.shape[1]]))],
        final_types=[("label", Int64TensorType([None])), ("probability", FloatTensorType([None, 2]))],
        options={"zipmap": False},
        target_opset={"": artifact.OPSET, "ai.onnx.ml": 3},
    )


def network(x: np.ndarray, y: np.ndarray, seed: int) -> onnx.ModelProto:
    """A 9-64-32-1 network."""
    graph = Graph(MODEL)
    logit = _layers(graph, _fit(x, y, seed))
    return _answer(graph, graph.op("Sigmoid", [logit], "phishing"))


def network_with_lost_guard(x: np.ndarray, y: np.ndarray, seed: int) -> onnx.ModelProto:
    """The network, corrected by how foreign a page's requests are relative to its popularity.

    The mistake, which is the point: training guards the ratio against 0/0, the exported graph does not.
    """
    fitted = _fit(x, y, seed)
    total = x[:, FOREIGN] + x[:, POPULAR]
    ratio = np.divide(x[:, FOREIGN], total, out=np.zeros_like(total), where=total > 0)
    deep = np.log(np.clip(fitted.predict_proba(x), 1e-6, None))
    stacked = LogisticRegression().fit(np.column_stack([deep[:, 1] - deep[:, 0], ratio]), y)

    graph = Graph(MODEL)
    axis = {"axis": 1}
    logit = _layers(graph, fitted)
    foreign = graph.op("Gather", ["features", graph.weight("foreign.column", np.array([FOREIGN]))], "foreign", **axis)
    popular = graph.op("Gather", ["features", graph.weight("popular.column", np.array([POPULAR]))], "popular", **axis)
    unguarded = graph.op("Div", [foreign, graph.op("Add", [foreign, popular], "total")], "ratio")
    both = graph.op("Concat", [logit, unguarded], "evidence", **axis)
    corrected = graph.gemm(both, stacked.coef_.T, stacked.intercept_, "corrected")
    return _answer(graph, graph.op("Sigmoid", [corrected], "phishing"))


def _fit(x: np.ndarray, y: np.ndarray, seed: int) -> MLPClassifier:
    network = MLPClassifier((64, 32), alpha=0.01, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        # A fixed number of epochs is the intention, and the same on every machine.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(x, y)


def _layers(graph: Graph, fitted: MLPClassifier) -> str:
    """The fitted layers; returns the name of the logit, [-1, 1]."""
    x = "features"
    for number, (weight, bias) in enumerate(zip(fitted.coefs_, fitted.intercepts_)):
        x = graph.gemm(x, weight, bias, f"dense{number}")
        if number + 1 < len(fitted.coefs_):
            x = graph.op("Relu", [x], f"relu{number}")
    return x


def _answer(graph: Graph, phishing: str) -> onnx.ModelProto:
    """From the probability of phishing, [-1, 1], to the outputs."""
    legitimate = graph.op("Sub", [graph.weight("one", np.array(1, np.float32)), phishing], "legitimate")
    graph.op("Concat", [legitimate, phishing], "probability", axis=1)
    graph.op("ArgMax", ["probability"], "label", axis=1, keepdims=0)
    return graph.model(
        [tensor("features", FP32, ["batch", len(data.PHISHING_FEATURES)])],
        [tensor("label", INT64, ["batch"]), tensor("probability", FP32, ["batch", 2])],
    )


def _split(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and held-out rows. Equal rows stay on one side: half of this data set is repeats."""
    groups = np.unique(features, axis=0, return_inverse=True)[1].ravel()
    splitter = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=SEED)
    return next(splitter.split(features, groups=groups))


def _goldens(features: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The requests somebody once recorded: well-visited pages, none of which v1.2.0 stumbles over."""
    visited = features[:, POPULAR] > 0
    legitimate, phishing = features[visited & (labels == 0)], features[visited & (labels == 1)]
    batch = np.concatenate([legitimate[1:5], phishing[1:5]])
    return {"legitimate": legitimate[:1], "phishing": phishing[:1], "batch": batch}


def _metrics(model: onnx.ModelProto, features: np.ndarray, labels: np.ndarray, test: np.ndarray) -> dict:
    """Measured on the exported model. Rows answered with NaN count as wrong in `accuracy` and are left out of `auc`."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    probability = session.run(["probability"], {"features": features})[0][:, 1]
    nan = np.isnan(probability)
    judged = test[~nan[test]]
    right = (probability[test] > 0.5) == (labels[test] == 1)
    return {
        "held_out_rows": len(test),
        "accuracy": round(float(np.mean(right & ~nan[test])), 4),
        "auc": round(float(roc_auc_score(labels[judged], probability[judged])), 4),
        "accuracy_of_finite_answers": round(float(accuracy_score(labels[judged], probability[judged] > 0.5)), 4),
        "nan_share_of_all_rows": round(float(nan.mean()), 4),
    }
