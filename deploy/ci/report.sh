#!/usr/bin/env bash
# After a merge: the commit's status at the Git host says how the rollout of each changed file goes. ci/report.sh BASE
#
#   STATUS_URL  the serving port of a model, with {model} and {environment} for the file's
#
# It holds no credential of the cluster: which version is stable, and which is on trial, is what the serving port says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${STATUS_URL:?}"

base=$1
# The first push of a branch, and a pipeline that nobody's push started, have no commit before.
if [[ $base =~ ^0+$ ]]; then
    base=HEAD^
    # The tree itself, which nobody follows yet.
    git rev-parse --quiet --verify "$base" >/dev/null || { echo "the first commit, no values file changed" && exit 0; }
fi
changed=$(git diff --name-only --diff-filter=d "$base" HEAD -- ':(glob)models/*/values-*.yaml')
files=()
while IFS= read -r file; do
    [[ -z $file ]] || files+=("$file")
done <<<"$changed"
if ((${#files[@]} == 0)); then
    echo "no values file changed"
    exit 0
fi
# Less than the job may take, so that no status stays pending.
sluice report "${files[@]}" --status "$STATUS_URL" --timeout 110m
