#!/usr/bin/env python3
"""Every YAML file of the tree is well formed, no key stands twice, and the README names what is there."""

import re
import sys
from pathlib import Path

from yamllint import config, linter

from tally import Tally
from tree import arguments


def problems(text, path, rules):
    return [f"{path}:{it.line}:{it.column}: {it.desc}" for it in linter.run(text, rules)]


def absent(text, folder):
    """Paths of the tree in backquotes or commands that lead nowhere."""
    for path in sorted(set(re.findall(r"(?<![\w/.-])((?:base|models|staging|argocd|ci)/[\w./-]*\w)", text))):
        if not (folder / path).exists() and "NAME" not in path:
            yield f"README.md names {path}"


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
    readme = (given.deploy / "README.md").read_text(encoding="utf-8")
    tally.check("the README's paths", absent(readme, given.deploy))
    tally.refused("a path that is not there", absent("see `base/gone.yaml`", given.deploy), "base/gone.yaml")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
