#!/usr/bin/env bash
# `sluice` from the image that serves, so that what checks a file is what will read it. Linked as `sluice` into the PATH.
#
# The host's network: a runner of the cluster's network reaches MLflow, staging and the bucket by its own identity, and no
# credential of a cloud or a cluster is kept in CI. The machine's /tmp, because `sluice check` pulls the model there, and as
# the job's user, whose files need be nobody else's.
set -euo pipefail

user=$(id -u):$(id -g)
# There user 0 is the one who started docker, and every other is somebody else.
security=$(docker info --format '{{.SecurityOptions}}')
[[ $security != *name=rootless* ]] || user=0:0
words=(--rm --network host --user "$user" --entrypoint sluice --workdir "$PWD")
words+=(--volume "$PWD:$PWD:ro" --volume /tmp:/tmp)
# Tokens and certificates, wherever the runner has them: GitLab keeps a variable of type `file` beside the checkout. One
# file may be two of them, and docker refuses to mount it twice.
mounted=:
for name in SLUICE_STAGING_TOKEN_FILE SLUICE_TOKEN_FILE SLUICE_CLIENT_CA SLUICE_CLIENT_CERT SLUICE_CLIENT_KEY; do
    words+=(--env "$name")
    path=${!name:-}
    if [[ $path == /* && $mounted != *":$path:"* ]]; then
        words+=(--volume "$path:$path:ro")
        mounted+=$path:
    fi
done
for name in HTTPS_PROXY NO_PROXY \
    MLFLOW_TRACKING_TOKEN MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD \
    GITHUB_ACTIONS GITHUB_API_URL GITHUB_REPOSITORY GITHUB_SHA GITHUB_TOKEN GITHUB_SERVER_URL GITHUB_RUN_ID \
    GITLAB_CI CI_API_V4_URL CI_PROJECT_ID CI_COMMIT_SHA GITLAB_TOKEN CI_JOB_TOKEN CI_JOB_URL; do
    words+=(--env "$name")
done
exec docker run "${words[@]}" "${SLUICE_IMAGE:?}" "$@"
