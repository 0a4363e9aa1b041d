#!/usr/bin/env bash
# Every values file is valid: each problem at once, with its place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sluice validate models/*/values-*.yaml
