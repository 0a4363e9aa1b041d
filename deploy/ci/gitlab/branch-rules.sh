#!/usr/bin/env bash
# GitLab's branch rules, once: gitlab/branch-rules.sh PROJECT-ID, with `glab` logged in as a maintainer.
# GitLab requires the whole pipeline, so every job of .gitlab-ci.yml (values, render, gate) is a required check.
set -euo pipefail
project=projects/${1:?}

glab api --method PUT "$project" \
    --raw-field only_allow_merge_if_pipeline_succeeds=true \
    --raw-field merge_method=ff --raw-field squash_option=always
glab api --method DELETE "$project/protected_branches/main" || true
# 0: nobody pushes, 40: maintainers merge. A tech lead's approval comes from CODEOWNERS.
glab api --method POST "$project/protected_branches" \
    --raw-field name=main --field push_access_level=0 --field merge_access_level=40 \
    --raw-field code_owner_approval_required=true --raw-field allow_force_push=false
glab api --method POST "$project/approvals" \
    --raw-field reset_approvals_on_push=true --raw-field merge_requests_author_approval=false
