"""`recommendation`: how much will people like this film? Embedding tables over real film data.

movie_id, genre_id, director_id, distributor_id, decade_id INT64 [-1, 1] -> score FP32 [-1, 1], the predicted rating / 10.
Id 0 is "unknown". The film's own id is dropped half of the time in training, so that a film nobody has rated yet
(id 0, or one of the held-out films) is scored from what is known about it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from scipy.stats import spearmanr

import artifact
import data
from graph import FP32, INT64, Graph, tensor

MODEL = "recommendation"
SEED = 11
TRAFFIC_ROWS = 300


@dataclass(frozen=True)
class Recipe:
    """Sizes and schedule of one version, chosen on a part of the training films."""

    width: int
    hidden: int
    epochs: int
    rate: float
    decay: float
    batch: int = 128


RECIPES = {
    "v1.0.0": Recipe(width=4, hidden=16, epochs=3, rate=0.01, decay=2e-5),
    "v1.1.0": Recipe(width=8, hidden=32, epochs=25, rate=0.005, decay=6e-4),
}


def build(artifacts: Path, traffic: Path) -> dict:
    """Trains and writes every version and the replay traffic; returns the held-out metrics by version."""
    films = data.films()
    order = np.random.default_rng(SEED).permutation(len(films.ratings))
    test, train = np.split(order, [len(order) // 5])
    metrics = {}
    for version, recipe in RECIPES.items():
        model = export(train_network(films, train, recipe))
        artifact.write(artifacts / MODEL / version, model, _goldens(films, order))
        metrics[version] = _metrics(model, films, train, test)
    _write_traffic(traffic / f"{MODEL}.json", films, order[:TRAFFIC_ROWS])
    return metrics


def train_network(films: data.Films, train: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    """Trains by Adam on squared error; returns the parameters by name."""
    random = np.random.default_rng(SEED)
    parameters = _initial(films.sizes, recipe, random)
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in parameters.items()}
    step = 0
    for _ in range(recipe.epochs):
        for rows in np.array_split(random.permutation(train), len(train) // recipe.batch):
            ids = films.ids[rows].copy()
            ids[random.random(len(rows)) < 0.5, 0] = 0
            step += 1
            for name, gradient in _gradients(parameters, ids, films.ratings[rows] / 10).items():
                gradient += recipe.decay * parameters[name]
                first, second = moments[name]
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                parameters[name] -= recipe.rate * (first / (1 - 0.9**step)) / (
                    np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    seen = np.zeros(films.sizes[0], bool)
    seen[films.ids[train, 0]] = True
    parameters["movie_id"][~seen] = parameters["movie_id"][0]
    return parameters


def _initial(sizes: list[int], recipe: Recipe, random: np.random.Generator) -> dict[str, np.ndarray]:
    parameters = {name: random.normal(0, 0.1, (size, recipe.width)) for name, size in zip(data.FILM_COLUMNS, sizes)}
    wide = recipe.width * len(sizes)
    parameters["hidden.weight"] = random.normal(0, np.sqrt(2 / wide), (wide, recipe.hidden))
    parameters["hidden.bias"] = np.zeros(recipe.hidden)
    parameters["logit.weight"] = random.normal(0, np.sqrt(1 / recipe.hidden), (recipe.hidden, 1))
    parameters["logit.bias"] = np.zeros(1)
    return parameters


def _gradients(parameters: dict[str, np.ndarray], ids: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Of the mean squared error, by parameter."""
    embedded = np.concatenate([parameters[name][ids[:, i]] for i, name in enumerate(data.FILM_COLUMNS)], axis=1)
    hidden = np.maximum(embedded @ parameters["hidden.weight"] + parameters["hidden.bias"], 0)
    score = 1 / (1 + np.exp(-(hidden @ parameters["logit.weight"] + parameters["logit.bias"])[:, 0]))
    logit = (2 * (score - target) * score * (1 - score) / len(target))[:, None]
    inner = (logit @ parameters["logit.weight"].T) * (hidden > 0)
    gradients = {
        "hidden.weight": embedded.T @ inner,
        "hidden.bias": inner.sum(axis=0),
        "logit.weight": hidden.T @ logit,
        "logit.bias": logit.sum(axis=0),
    }
    for i, (name, part) in enumerate(
            zip(data.FILM_COLUMNS, np.split(inner @ parameters["hidden.weight"].T, len(data.FILM_COLUMNS), axis=1))):
        gradients[name] = np.zeros_like(parameters[name])
        np.add.at(gradients[name], ids[:, i], part)
    return gradients


def export(parameters: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The trained network as ONNX."""
    graph = Graph(MODEL)
    rows = []
    for name in data.FILM_COLUMNS:
        table = graph.weight(f"{name}.embedding", parameters[name].astype(np.float32))
        rows.append(graph.op("Gather", [table, name], f"{name}.row"))
    flat = graph.op("Flatten", [graph.op("Concat", rows, "embedded", axis=2)], "flat", axis=1)
    hidden = graph.op("Relu", [graph.gemm(flat, parameters["hidden.weight"], parameters["hidden.bias"], "hidden")],
                      "active")
    graph.op("Sigmoid", [graph.gemm(hidden, parameters["logit.weight"], parameters["logit.bias"], "logit")], "score")
    return graph.model([tensor(name, INT64, ["batch", 1]) for name in data.FILM_COLUMNS],
                       [tensor("score", FP32, ["batch", 1])])


def inputs(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids [films, 5] as the model's inputs."""
    return {name: ids[:, i:i + 1] for i, name in enumerate(data.FILM_COLUMNS)}


def _goldens(films: data.Films, order: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    unknown = np.zeros((1, len(data.FILM_COLUMNS)), np.int64)
    return {"unknown": inputs(unknown), "film": inputs(films.ids[order[-1:]]), "batch": inputs(films.ids[order[:8]])}


def _metrics(model: onnx.ModelProto, films: data.Films, train: np.ndarray, test: np.ndarray) -> dict:
    """Errors in rating points, on films whose own id was never trained."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    score = session.run(["score"], inputs(films.ids[test]))[0][:, 0] * 10
    truth = films.ratings[test]
    return {
        "held_out_films": len(test),
        "mean_absolute_error": round(float(np.abs(score - truth).mean()), 4),
        "mean_absolute_error_of_the_mean": round(float(np.abs(films.ratings[train].mean() - truth).mean()), 4),
        "rank_correlation": round(float(spearmanr(score, truth).statistic), 4),
    }


def _write_traffic(path: Path, films: data.Films, rows: np.ndarray) -> None:
    lines = ",\n".join(
        json.dumps({"title": films.titles[row], "ids": films.ids[row].tolist()}, ensure_ascii=False) for row in rows)
    columns = json.dumps(data.FILM_COLUMNS)
    path.write_text(f'{{"inputs": {columns},\n"films": [\n{lines}\n]}}\n', "utf-8")
