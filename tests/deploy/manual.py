"""The commands that the tree's READMEs show, as they would be typed."""

import re

# What the six steps type, block by block: a name, and what is in that block of deploy/README.md and in no other.
PLAYED = {
    "publish": "mlflow artifacts download",
    "staging": "values-staging.yaml v2.3.1",
    "gate": "ci/gate.sh origin/main",
    "production": "values-production.yaml v2.3.1",
    "back": "git revert",
}


def blocks(text):
    """The shell's blocks: indented with the list that they are in."""
    return [re.sub(r"(?m)^ {3}", "", it) if it.startswith("   ") else it for it in re.findall(r"```sh\n(.*?)```", text, re.S)]


def block(text, part):
    """The one block that has `part`."""
    found = [it for it in blocks(text) if part in it]
    if len(found) != 1:
        raise SystemExit(f"`{part}` is in {len(found)} blocks of the README, and 1 was expected")
    return found[0].strip()


def filled(script, examples):
    """With one's own in place of the README's examples, each of which must be there."""
    missing = [old for old in examples if old not in script]
    if missing:
        raise SystemExit(f"the README shows no {missing} any more in: {script}")
    # All at once: what is put in may look like an example, too.
    pattern = "|".join(map(re.escape, examples)) or "$^"
    return re.sub(pattern, lambda found: str(examples[found[0]]), script)
