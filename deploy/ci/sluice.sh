#!/usr/bin/env bash
# `sluice` from the image that serves, so that what checks a file is what will read it. Linked as `sluice` into the PATH.
#
# The host's network: a runner of the cluster's network reaches MLflow, staging and the bucket by its own identity, and no
# credential of a cloud or a cluster is kept in CI. The machine's /tmp, because `sluice check` pulls the model there; files
# that variables name (tokens, certificates) are there or in the checkout.
set -euo pipefail
exec docker run --rm --network host --entrypoint sluice --volume "$PWD:$PWD:ro" --volume /tmp:/tmp --workdir "$PWD" \
    --env SLUICE_STAGING_TOKEN_FILE --env SLUICE_TOKEN_FILE --env HTTPS_PROXY --env NO_PROXY \
    --env SLUICE_CLIENT_CA --env SLUICE_CLIENT_CERT --env SLUICE_CLIENT_KEY \
    --env MLFLOW_TRACKING_TOKEN --env MLFLOW_TRACKING_USERNAME --env MLFLOW_TRACKING_PASSWORD \
    --env GITHUB_ACTIONS --env GITHUB_API_URL --env GITHUB_REPOSITORY --env GITHUB_SHA --env GITHUB_TOKEN \
    --env GITHUB_SERVER_URL --env GITHUB_RUN_ID \
    --env GITLAB_CI --env CI_API_V4_URL --env CI_PROJECT_ID --env CI_COMMIT_SHA --env GITLAB_TOKEN --env CI_JOB_TOKEN \
    --env CI_JOB_URL \
    "${SLUICE_IMAGE:?}" "$@"
