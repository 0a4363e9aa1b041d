#!/bin/sh
# Writes a CycloneDX list of the crates that are linked into `sluice`: sbom.sh VERSION-OF-THE-TOOL FOLDER-FOR-TOOLS FILE
#
# In the root of the sources, which it writes to: the tool puts its lists beside every manifest.
set -eu
version=$1 tools=$2 file=$3

# Does nothing where this version is there already. Unoptimised: it runs for a second.
CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$tools" --target-dir "$tools/target" \
    "cargo-cyclonedx@$version"
# A date instead of a random number and the clock, so that the same sources give the same bytes.
SOURCE_DATE_EPOCH=0 "$tools/bin/cargo-cyclonedx" cyclonedx --quiet --manifest-path server/Cargo.toml \
    --format json --spec-version 1.5 --describe binaries --no-build-deps
mkdir -p "$(dirname "$file")"
mv server/sluice_bin.cdx.json "$file"
