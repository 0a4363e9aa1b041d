{{/*
What a model's chart includes. It renders the objects of the base, the files that Kustomize reads too, under the model's
name and with what the values file says of them, and the ConfigMap that holds the values file itself.

`global.part: witness` renders the Job instead that waits until the servers have seen the file: an Application of its own.
*/}}
{{- define "sluice.model" -}}
{{- include "sluice.check" . -}}
{{- $part := dig "part" "server" (.Values.global | default dict) -}}
{{- if eq $part "server" -}}
{{- include "sluice.server" . -}}
{{- else if eq $part "witness" -}}
{{- include "sluice.witness" . -}}
{{- else -}}
{{- fail (printf "global.part is %q; it is server or witness" $part) -}}
{{- end -}}
{{- end -}}

{{/* The prefix of every name: the model's, whatever the release is called. */}}
{{- define "sluice.name" -}}
{{- $name := .Values.nameOverride | default .Values.model.name -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot begin the name of a Service: give `nameOverride`, at most 40 letters, digits and `-`" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The values file that was given to Helm: `.Values` has its content, and not its bytes. */}}
{{- define "sluice.file" -}}
{{- $environment := dig "environment" "" (.Values.global | default dict) -}}
{{- if not $environment -}}
{{- fail "say which file this is: `global: {environment: production}` in values-production.yaml" -}}
{{- end -}}
{{- printf "values-%s.yaml" $environment -}}
{{- end -}}

{{- define "sluice.server" -}}
{{- $files := list "deployment" "service" "hpa" "pdb" "networkpolicy" "serviceaccount" "status" "podmonitor" -}}
{{- range $file := $files -}}
{{- include "sluice.render" (dict "root" $ "file" (printf "model-serving-%s.yaml" $file)) -}}
{{- end -}}
{{- $bytes := .Files.Get (include "sluice.file" .) -}}
{{- /* For argocd/config/health.lua: whether what the server says is about this content. */ -}}
{{- $revision := dict "sluice.dev/values-revision" (printf "sha256:%s" (sha256sum $bytes)) -}}
{{- include "sluice.configmap" (dict "root" . "name" "values" "key" "values.yaml" "bytes" $bytes "annotations" $revision) -}}
{{- include "sluice.configmap" (dict "root" . "name" "keys" "key" "release.pub" "bytes" (.Subcharts.sluice.Files.Get "release.pub")) -}}
{{- end -}}

{{/* The copy of the values is the witness's own: the server's may be a commit ahead or behind when the Job starts. */}}
{{- define "sluice.witness" -}}
{{- include "sluice.render" (dict "root" . "file" "model-serving-witness.yaml") -}}
{{- include "sluice.configmap" (dict "root" . "name" "expected" "key" "values.yaml" "bytes" (.Files.Get (include "sluice.file" .))) -}}
{{- end -}}

{{/* The objects of one file of the base. */}}
{{- define "sluice.render" -}}
{{- $root := .root -}}
{{- $name := printf "%s-model-serving" (include "sluice.name" $root) -}}
{{- range $document := splitList "\n---\n" ($root.Subcharts.sluice.Files.Get .file) -}}
{{- $object := $document | replace "model-serving" $name | fromYaml -}}
{{- if not $object.kind -}}{{- fail (printf "%s of the base cannot be read: %v" $.file $object) -}}{{- end -}}
{{- $drop := include "sluice.adapt" (dict "root" $root "object" $object) -}}
{{- if not $drop }}
---
{{ toYaml $object }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A file's own bytes under one key. */}}
{{- define "sluice.configmap" -}}
{{- if not .bytes -}}{{- fail (printf "the file for %s is missing or empty" .key) -}}{{- end -}}
{{- $name := printf "%s-model-serving" (include "sluice.name" .root) -}}
{{- $labels := dict "app.kubernetes.io/name" "sluice" "app.kubernetes.io/instance" $name -}}
{{- $metadata := dict "name" (printf "%s-%s" $name .name) "labels" $labels -}}
{{- with .annotations -}}{{- $_ := set $metadata "annotations" . -}}{{- end }}
---
{{ toYaml (dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" $metadata "data" (dict .key .bytes)) }}
{{- end -}}
