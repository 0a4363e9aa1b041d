"""The two real data sets the zoo is trained on. Knows files and columns, nothing of models.

Both come inside packages (see README.md for sources and licences), so nothing is downloaded by these scripts.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

PHISHING_FEATURES = [
    "empty_server_form_handler",
    "popup_window",
    "https",
    "request_from_other_domain",
    "anchor_from_other_domain",
    "is_popular",
    "long_url",
    "age_of_domain",
    "ip_in_url",
]
"""Columns of the `features` input, in this order. Each is 0, 0.5 or 1."""

FILM_COLUMNS = ["movie_id", "genre_id", "director_id", "distributor_id", "decade_id"]
"""Inputs of the recommender, in this order. Id 0 means unknown in every column."""


@dataclass(frozen=True)
class Films:
    """Rated films as ids."""

    titles: list[str]
    ids: np.ndarray
    """INT64 [films, 5], columns as `FILM_COLUMNS`."""
    ratings: np.ndarray
    """FP64 [films], IMDB rating, 1 to 10."""
    sizes: list[int]
    """Per column, how many ids there are, 0 included."""


def phishing() -> tuple[np.ndarray, np.ndarray]:
    """Features FP32 [1250, 9] and labels INT64 [1250], 1 = phishing."""
    spec = importlib.util.find_spec("river")
    if spec is None or spec.origin is None:
        raise SystemExit("the phishing data is inside the `river` package: pip install -r models/zoo/requirements.txt")
    path = Path(spec.origin).parent / "datasets" / "phishing.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    features = np.array([[float(row[name]) for name in PHISHING_FEATURES] for row in rows], np.float32)
    return features, np.array([int(row["is_phishing"]) for row in rows], np.int64)


def films() -> Films:
    """Every film with a rating. A director needs two films to have an id; the others are unknown."""
    path = HERE / "node_modules" / "vega-datasets" / "data" / "movies.json"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: npm ci --prefix models/zoo")
    rows = [row for row in json.loads(path.read_text("utf-8")) if row["IMDB Rating"] is not None]
    columns = [
        _ids([row["Major Genre"] for row in rows], least=1),
        _ids([row["Director"] for row in rows], least=2),
        _ids([row["Distributor"] for row in rows], least=1),
        _ids([_decade(row["Release Date"]) for row in rows], least=1),
    ]
    ids = np.array([list(range(1, len(rows) + 1)), *columns], np.int64).T
    ratings = np.array([row["IMDB Rating"] for row in rows], np.float64)
    return Films([str(row["Title"]) for row in rows], ids, ratings, [int(top) + 1 for top in ids.max(axis=0)])


def _ids(values: list[str | None], least: int) -> list[int]:
    """Numbers the values that occur `least` times or more from 1, in alphabetical order; the rest are 0."""
    counts = Counter(value for value in values if value is not None)
    index = {value: number for number, value in enumerate(sorted(v for v in counts if counts[v] >= least), 1)}
    return [index.get(value, 0) for value in values]


def _decade(date: str | None) -> str | None:
    """`Jun 12 1998` -> `1990s`. The data set writes some years before 1970 a century late."""
    found = re.search(r"(\d{4})$", date or "")
    if found is None:
        return None
    year = int(found[1])
    year -= 100 if year > 2012 else 0
    return f"{year // 10 * 10}s"
