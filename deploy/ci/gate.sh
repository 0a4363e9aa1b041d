#!/usr/bin/env bash
# The pull request's gate: ci/gate.sh BASE, where BASE is the commit that the branch would be merged into.
#
#   REGISTRY_URL  the MLflow server
#   STAGING_URL   the serving port of a model in staging, with {model} for its name
#
# Every changed values file is checked: the version is in the registry and passed its offline tests, the bucket holds the
# bytes that the registry means, and, for production, staging runs it, unless the model is new. A file that is again what the branch itself had
# before is a rollback: it passed when it was merged, and nothing may hold it up now. What only commits of a pull request
# had was merged by nobody. Where the key is another, every file is checked with it.
#
# On GitHub what is wrong is shown on the lines of the file; on GitLab in the merge request, from gate-reports/*.xml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=$1
: "${REGISTRY_URL:?}" "${STAGING_URL:?}"
# How far back a rollback may go, in changes of the file.
history=20
# In /tmp, which sluice.sh shows to the container.
work=$(mktemp -d /tmp/gate.XXXXXX)
trap 'rm -rf "$work"' EXIT

returns_to_what_was() {
    local blob commit
    blob=$(git rev-parse "HEAD:$1")
    for commit in $(git rev-list --first-parent --max-count="$history" "$base" -- "$1"); do
        if [[ $(git rev-parse --quiet --verify "$commit:$1" || true) == "$blob" ]]; then
            return 0
        fi
    done
    return 1
}

check() {
    local file=$1 model environment
    model=$(basename "$(dirname "$file")")
    environment=$(basename "$file" .yaml)
    # The key that the servers mount; the path in the file is theirs.
    local words=("$file" --registry "$REGISTRY_URL" --public-key base/release.pub)
    if [[ $environment == values-production ]]; then
        # What is merged was in staging before: an edit beside the version, and a way back that is no revert of the whole
        # file, need not wait for what staging has now.
        local merged=$work/merged.yaml
        if git show "$base:$file" >"$merged" 2>/dev/null; then
            words+=(--staging "${STAGING_URL//\{model\}/$model}" --merged "$merged")
        else
            echo "$file: a new model, which staging does not have before this is merged"
        fi
    fi
    if [[ ${GITHUB_ACTIONS:-} == true ]]; then
        sluice check "${words[@]}" --format github
    elif [[ ${GITLAB_CI:-} == true ]]; then
        mkdir -p gate-reports
        sluice check "${words[@]}" --format junit >"gate-reports/$model-$environment.xml"
    else
        sluice check "${words[@]}"
    fi
}

# One step, so that a name of a base that is not there ends this instead of finding nothing changed.
changed=$(git diff --name-only --diff-filter=d --merge-base "$base" HEAD -- ':(glob)models/*/values-*.yaml')
# A key that is not the old one has to fit what serves, too.
key=$(git diff --name-only --merge-base "$base" HEAD -- base/release.pub)
if [[ -n $key ]]; then
    changed=$(git ls-files -- ':(glob)models/*/values-*.yaml')
fi
failed=0
count=0
while IFS= read -r file; do
    [[ -n $file ]] || continue
    count=$((count + 1))
    if [[ $(git ls-tree HEAD -- "$file") == 120000* ]]; then
        echo "$file: a link, whose target nobody would check; write the values here"
        failed=$((failed + 1))
    elif [[ -z $key ]] && returns_to_what_was "$file"; then
        echo "$file: a rollback, it was merged before"
    elif ! check "$file"; then
        failed=$((failed + 1))
    fi
done <<<"$changed"
echo "$count values files changed, $failed refused"
((failed == 0))
