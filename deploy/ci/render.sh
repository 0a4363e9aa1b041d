#!/usr/bin/env bash
# Everything renders, as Argo CD would do it (Helm) and by hand (Kustomize). Needs helm 3.7 or newer, and kubectl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for file in models/*/values-*.yaml; do
    model=$(basename "$(dirname "$file")")
    environment=$(basename "$file" .yaml)
    environment=${environment#values-}
    helm dependency build "models/$model" >/dev/null
    for part in server witness; do
        helm template "$model" "models/$model" --namespace "ml-$environment" --values "$file" --set "global.part=$part" >/dev/null
    done
    folder=models/$model
    [[ $environment == production ]] || folder=$environment/$model
    kubectl kustomize "$folder" >/dev/null
    echo "$model $environment renders"
done
