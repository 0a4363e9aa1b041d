#!/usr/bin/env python3
"""Every YAML file of the tree is well formed, no key stands twice, and the READMEs name what is there."""

import re
import sys
from pathlib import Path

from yamllint import config, linter

from tally import Tally
from tree import arguments

# Folders at the top of the tree.
PARTS = "base|models|staging|argocd|ci|infrastructure|dashboards"


def problems(text, path, rules):
    return [f"{path}:{it.line}:{it.column}: {it.desc}" for it in linter.run(text, rules)]


def absent(text, folder):
    """Paths of the tree in backquotes or commands that lead nowhere."""
    for path in sorted(set(re.findall(rf"(?<![\w/.-])((?:{PARTS})/[\w./-]*\w)", text))):
        if not (folder / path).exists() and "NAME" not in path:
            yield f"{path} is not there"


def dead(text, folder):
    """Links that lead nowhere, from a file of `folder`."""
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link and not (folder / link).exists():
            yield f"the link {link} leads nowhere"


def unlinked(text, folder):
    """READMEs further down that nobody who starts at the top would find."""
    for path in sorted(folder.rglob("README.md")):
        name = str(path.relative_to(folder))
        if path.parent != folder and f"]({name})" not in text:
            yield f"{name} is not linked"


def main():
    given = arguments(__doc__, "--style")
    rules = config.YamlLintConfig(given.style.read_text(encoding="utf-8"))
    tally = Tally()
    files = [path for end in ("yaml", "yml") for path in sorted(given.deploy.rglob(f"*.{end}"))]
    read = [(path.relative_to(given.deploy), path) for path in files]
    read = [(name, path) for name, path in read if not rules.is_file_ignored(str(name))]
    found = [problem for name, path in read for problem in problems(path.read_text(encoding="utf-8"), name, rules)]
    tally.check(f"{len(read)} files", found or ([] if read else ["there is none"]))
    tally.refused("a key that stands twice", problems("a: 1\na: 2\n", Path("planted.yaml"), rules), 'duplication of key "a"')
    tally.refused("an open bracket", problems("a: [1\n", Path("planted.yaml"), rules), "syntax error")
    readmes = {path: path.read_text(encoding="utf-8") for path in sorted(given.deploy.rglob("README.md"))}
    for path, text in readmes.items():
        found = [*absent(text, given.deploy), *dead(text, path.parent)]
        tally.check(f"{path.relative_to(given.deploy)}: paths and links", found)
    top = readmes[given.deploy / "README.md"]
    tally.check("every README is linked from the top", unlinked(top, given.deploy))
    tally.refused("a path that is not there", absent("see `base/gone.yaml`", given.deploy), "base/gone.yaml")
    tally.refused("a link that leads nowhere", dead("[it](gone.md)", given.deploy), "gone.md leads nowhere")
    tally.refused("a README that is not linked", unlinked("", given.deploy), "dashboards/README.md is not linked")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
