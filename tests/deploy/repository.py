"""The deploy tree as a team has it: a Git repository of its own, with their bucket and their key in it.

Three places, as for a team: an engineer's clone, where everything is typed; the bare repository that it is pushed to; and a
clone of what is merged there, which Argo CD reads. The engineer's own `main` is never brought up to date, as nobody's is.
"""

import re
import shutil
import subprocess

MODEL = "fraud-detection"
# A whole day of production in seconds: what is judged stays the same, and how long it is looked at does not.
HASTE = [
    (r"duration: \d+m", "duration: 2s"),
    (r"interval: \d+s\n", "interval: 1s\n"),
    # A busy machine's own latencies are not the model's.
    (r"thresholdRange: \{max: 150\}", "thresholdRange: {max: 10000}"),
    (r"(thresholdRange: \{(?:min|max): [\d.]+\}\n)(\s+)(failureLimit)", r"\1\2minSamples: 20\n\2\3"),
]


class Repository:
    """A copy of the tree, committed and pushed."""

    def __init__(self, deploy, programs, folder):
        self.folder, self.programs = folder / "gitops", folder / "bin"
        self.origin, self.merged = folder / "origin.git", folder / "merged"
        shutil.copytree(deploy, self.folder, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
        self.programs.mkdir()
        for name, program in programs.items():
            (self.programs / name).symlink_to(program)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def git(self, *words, at=None):
        done = subprocess.run(["git", *words], cwd=at or self.folder, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise SystemExit(f"git {' '.join(words)}: {done.stderr}{done.stdout}")
        return done.stdout

    def begin(self, bucket, key, version):
        """What deploy/README.md asks for once: one's own bucket and key; and what is registered."""
        shutil.copyfile(key, self.folder / "base/release.pub")
        for path in sorted((self.folder / "models" / MODEL).glob("values-*.yaml")):
            text = path.read_text(encoding="utf-8")
            for pattern, new in [
                (r"gs://acme-ml-ml-artifacts/", f"{bucket}/"),
                (r"/etc/sluice/keys/release\.pub", str(self.folder / "base/release.pub")),
                (r'version: "16"', f'version: "{version}"'),
            ]:
                text, count = re.subn(pattern, new, text)
                if not count:
                    raise SystemExit(f"{path.name} has no {pattern} any more")
            for pattern, new in HASTE:
                text = re.sub(pattern, new, text)
            path.write_text(text, encoding="utf-8")
        self.git("init", "-q", "-b", "main")
        self.introduce(self.folder)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "What serves today")
        self.git("init", "-q", "--bare", "-b", "main", self.origin)
        self.git("remote", "add", "origin", self.origin)
        self.git("push", "-q", "-u", "origin", "main")
        self.git("clone", "-q", self.origin, self.merged)
        self.introduce(self.merged)

    def introduce(self, clone):
        for key, value in (("user.name", "ml"), ("user.email", "ml@example.com"), ("commit.gpgsign", "false")):
            self.git("config", key, value, at=clone)

    def edit(self, path, old, new):
        """The first place in a file that says `old` says `new`."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise SystemExit(f"{path} has no {old} any more")
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def add(self, message):
        """One more commit of the pull request."""
        self.git("commit", "-q", "-a", "-m", message)
        self.git("push", "-q", "origin", "HEAD")

    def leave(self):
        """The pull request is closed, and its branch is gone."""
        branch = self.git("branch", "--show-current").strip()
        self.git("push", "-q", "origin", "--delete", branch)
        self.git("switch", "-q", "main")
        self.git("branch", "-q", "-D", branch)
        return branch

    def merge(self):
        """What the host does, with what was pushed: as the branch rules have it, one commit comes of it."""
        branch = self.git("branch", "--show-current").strip()
        self.git("fetch", "-q", at=self.merged)
        self.git("merge", "-q", "--squash", f"origin/{branch}", at=self.merged)
        self.git("commit", "-q", "-m", branch, at=self.merged)
        self.git("push", "-q", "origin", "main", at=self.merged)
        self.leave()
        print(f"# {branch} is approved and merged")
