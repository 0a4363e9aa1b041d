"""Signs artifact directories with the demo key and writes their manifests: `python sign.py DIR...`

For a version that you changed by hand. Uses OpenSSF Model Signing, method `key` (EC P-256).
"""

from __future__ import annotations

import sys
from pathlib import Path

import model_signing

import artifact

KEYS = Path(__file__).resolve().parent / "keys"
PRIVATE = KEYS / "zoo.demo-key.pem"
PUBLIC = KEYS / "zoo.pub"


def seal(directory: Path) -> None:
    """Writes `model.sig`, unless the one that is there is good for these bytes, then `manifest.json`.

    An ECDSA signature differs each time it is made, so keeping a good one keeps a rebuild byte for byte the same.
    """
    (directory / "manifest.json").unlink(missing_ok=True)
    if problem(directory) is not None:
        signature = directory / "model.sig"
        signature.unlink(missing_ok=True)
        config = model_signing.signing.Config().use_elliptic_key_signer(private_key=PRIVATE)
        config.set_hashing_config(_hashing([signature])).sign(directory, signature)
    (directory / "manifest.json").write_text(artifact.manifest(directory), "utf-8")


def problem(directory: Path) -> str | None:
    """Why `model.sig` is not a good signature of `directory`; `None` if it is. `manifest.json` is not signed."""
    signature = directory / "model.sig"
    if not signature.is_file():
        return "there is no model.sig"
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=PUBLIC)
    config.set_hashing_config(_hashing([signature, directory / "manifest.json"]))
    try:
        config.verify(directory, signature)
    except Exception as error:  # the library's parsers raise many kinds on damaged input; each means "not good"
        return str(error)
    return None


def _hashing(ignored: list[Path]) -> model_signing.hashing.Config:
    config = model_signing.hashing.Config().use_file_serialization()
    return config.set_ignored_paths(paths=ignored, ignore_git_paths=False)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for argument in sys.argv[1:]:
        seal(Path(argument))
        print(f"{argument} {artifact.root_digest(Path(argument))}")
