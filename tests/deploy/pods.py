"""What Kubernetes makes of a pod's template before a container starts: variables, and arguments that hold them."""

import re


def template(objects, kind):
    [found] = [it for it in objects if it["kind"] == kind]
    return found["spec"]["template"]


def container(objects, kind):
    [only] = template(objects, kind)["spec"]["containers"]
    return only


def variables(objects, kind):
    """Those with a value, and those that name a label of the pod."""
    labels = template(objects, kind)["metadata"]["labels"]
    found = {}
    for variable in container(objects, kind).get("env", []):
        field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        label = re.fullmatch(r"metadata\.labels\['([^']+)'\]", field)
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif label and label[1] in labels:
            found[variable["name"]] = labels[label[1]]
    return found


def arguments(objects, kind):
    """With `$(NAME)` replaced; a name that is no variable stays, as in a cluster."""
    known = variables(objects, kind)
    return [
        re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), argument)
        for argument in container(objects, kind)["args"]
    ]
