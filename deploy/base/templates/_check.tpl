{{/*
What must hold before anything is rendered. `sluice validate` judges what the server reads; this judges what the chart
reads, and that both read the same file.
*/}}
{{- define "sluice.check" -}}
{{- include "sluice.sameFile" . -}}
{{- include "sluice.knownKeys" . -}}
{{- end -}}

{{/*
A parameter, a second file or `--set` would say something to Helm that the mounted file does not say to the server. A
`model.version` among the parameters of an Application would win over every commit.
*/}}
{{- define "sluice.sameFile" -}}
{{- $name := include "sluice.file" . -}}
{{- $file := .Files.Get $name | fromYaml -}}
{{- if hasKey $file "Error" -}}{{- fail (printf "%s cannot be read: %s" $name $file.Error) -}}{{- end -}}
{{- $said := omit .Values "sluice" "global" -}}
{{- range $key := keys $said | concat (keys (omit $file "global")) | uniq | sortAlpha -}}
{{- if ne (get $said $key | toJson) (get $file $key | toJson) -}}
{{- fail (printf "`%s` is not what %s says: give that file to Helm, alone, and no parameters" $key $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A misspelt key would be a setting that does nothing. */}}
{{- define "sluice.knownKeys" -}}
{{- $server := list "schemaVersion" "model" "stable" "strategy" "analysisTemplates" "serving" "gate" "retry" -}}
{{- $whole := list "affinity" "env" "envFrom" "extraVolumeMounts" "extraVolumes" "imagePullSecrets" "nameOverride" "nodeSelector" "podAnnotations" "podLabels" "priorityClassName" "resources" "runtimeClassName" "terminationGracePeriodSeconds" "tolerations" "topologySpreadConstraints" -}}
{{- $parts := dict
  "access" (list "secretName")
  "autoscaling" (list "enabled" "maxReplicas")
  "global" (list "environment" "part")
  "image" (list "digest" "pullPolicy" "repository" "tag")
  "monitoring" (list "enabled" "labels")
  "networkPolicy" (list "enabled")
  "podDisruptionBudget" (list "maxUnavailable")
  "service" (list "annotations" "type")
  "serviceAccount" (list "annotations")
  "tls" (list "secretName")
-}}
{{- range $key := keys (omit .Values "sluice") | sortAlpha -}}
{{- if not (has $key (concat $server $whole (keys $parts))) -}}
{{- fail (printf "`%s` is no key of this chart; it has %s" $key (concat $whole (keys $parts) | sortAlpha | join ", ")) -}}
{{- end -}}
{{- range $under := keys (ternary (get $.Values $key) dict (hasKey $parts $key)) | sortAlpha -}}
{{- if not (has $under (get $parts $key)) -}}
{{- fail (printf "`%s.%s` is no key of this chart; it has %s" $key $under (get $parts $key | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
