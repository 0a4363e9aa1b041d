"""Whether an object is one that the API server would take: every field known, every type right."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate

# The oldest and the newest that we promise: Chart.yaml has the first.
VERSIONS = ("1.30", "1.37")


def own():
    """Our schemas of kinds that Kubernetes does not have, by (apiVersion, kind)."""
    schemas = {}
    for path in sorted((Path(__file__).parent / "schemas").glob("*/*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        fields = schema["properties"]
        schemas[fields["apiVersion"]["const"], fields["kind"]["const"]] = schema
    return schemas


OWN = own()


def problems(document):
    """What is wrong with an object. A kind that nobody knows is."""
    schema = OWN.get((document.get("apiVersion"), document.get("kind")))
    if schema:
        found = jsonschema.Draft202012Validator(schema).iter_errors(document)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in found]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(error.message)
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"[:300])
    return found
