#!/usr/bin/env bash
# After a merge: the commit's status at the Git host says how the rollout of each changed file goes. ci/report.sh BASE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

changed=$(git diff --name-only --diff-filter=d "$1" HEAD -- ':(glob)models/*/values-*.yaml')
while IFS= read -r file; do
    [[ -n $file ]] || continue
    sluice report "$file"
done <<<"$changed"
