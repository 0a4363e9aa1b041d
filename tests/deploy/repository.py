"""The deploy tree as a team has it: a Git repository of its own, with their bucket and their key in it."""

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
    """A copy of the tree, committed."""

    def __init__(self, deploy, sluice, folder):
        self.folder, self.programs = folder / "gitops", folder / "bin"
        shutil.copytree(deploy, self.folder, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
        self.programs.mkdir()
        (self.programs / "sluice").symlink_to(sluice)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def git(self, *words):
        who = ["-c", "user.name=ml", "-c", "user.email=ml@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *words], cwd=self.folder, capture_output=True, text=True, timeout=60)
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
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "What serves today")

    def branch(self, name):
        self.git("switch", "-q", "-c", name)

    def edit(self, path, old, new):
        """The first place in a file that says `old` says `new`."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise SystemExit(f"{path} has no {old} any more")
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def commit(self, message):
        self.git("commit", "-q", "-a", "-m", message)

    def leave(self):
        """The pull request stays open."""
        branch = self.git("branch", "--show-current").strip()
        self.git("switch", "-q", "main")
        self.git("branch", "-q", "-D", branch)

    def merge(self):
        branch = self.git("branch", "--show-current").strip()
        self.git("switch", "-q", "main")
        # As the branch rules have it: what was merged is one commit.
        self.git("merge", "-q", "--squash", branch)
        self.git("commit", "-q", "-m", branch)
        self.git("branch", "-q", "-D", branch)
        print(f"# {branch} is approved and merged")
