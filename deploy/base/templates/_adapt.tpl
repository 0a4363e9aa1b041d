{{/*
What the values file says of each kind of object. Changes `object` in place, and answers a word where the object is not
wanted at all.
*/}}
{{- define "sluice.adapt" -}}
{{- $values := .root.Values -}}
{{- $kind := .object.kind -}}
{{- $autoscaled := dig "enabled" true ($values.autoscaling | default dict) -}}
{{- if or (eq $kind "Deployment") (eq $kind "Job") -}}
{{- include "sluice.pod" (dict "values" $values "template" .object.spec.template) -}}
{{- end -}}
{{- if and (eq $kind "Job") $values.access -}}
{{- include "sluice.witnessToken" (dict "secretName" (include "sluice.accessSecret" $values) "pod" .object.spec.template.spec) -}}
{{- end -}}
{{- if eq $kind "Deployment" -}}
{{- include "sluice.deployment" (dict "values" $values "spec" .object.spec "autoscaled" $autoscaled) -}}
{{- else if eq $kind "HorizontalPodAutoscaler" -}}
{{- if not $autoscaled -}}drop{{- end -}}
{{- include "sluice.autoscaler" (dict "values" $values "spec" .object.spec) -}}
{{- else if eq $kind "Service" -}}
{{- if ne (toString .object.spec.clusterIP) "None" -}}
{{- $_ := mergeOverwrite .object.spec (pick ($values.service | default dict) "type") -}}
{{- include "sluice.annotate" (dict "metadata" .object.metadata "with" (dig "annotations" dict ($values.service | default dict))) -}}
{{- end -}}
{{- else if eq $kind "ServiceAccount" -}}
{{- include "sluice.annotate" (dict "metadata" .object.metadata "with" (dig "annotations" dict ($values.serviceAccount | default dict))) -}}
{{- else if eq $kind "RoleBinding" -}}
{{- range .object.subjects -}}{{- $_ := set . "namespace" $.root.Release.Namespace -}}{{- end -}}
{{- else if eq $kind "PodDisruptionBudget" -}}
{{- $_ := mergeOverwrite .object.spec (pick ($values.podDisruptionBudget | default dict) "maxUnavailable") -}}
{{- else if eq $kind "NetworkPolicy" -}}
{{- if not (dig "enabled" true ($values.networkPolicy | default dict)) -}}drop{{- end -}}
{{- else if eq $kind "PodMonitor" -}}
{{- if not (dig "enabled" true ($values.monitoring | default dict)) -}}drop{{- end -}}
{{- if $values.access -}}
{{- $credentials := dict "name" (include "sluice.accessSecret" $values) "key" "prometheus" -}}
{{- $_ := set (first .object.spec.podMetricsEndpoints) "authorization" (dict "credentials" $credentials) -}}
{{- end -}}
{{- with dig "labels" dict ($values.monitoring | default dict) -}}
{{- $_ := mergeOverwrite $.object.metadata.labels . -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluice.annotate" -}}
{{- if .with -}}{{- $_ := set .metadata "annotations" (merge (deepCopy .with) (.metadata.annotations | default dict)) -}}{{- end -}}
{{- end -}}

{{/* What the server and the Job share: the image, and how it is pulled. */}}
{{- define "sluice.pod" -}}
{{- $pod := .template.spec -}}
{{- $container := first $pod.containers -}}
{{- with .values.image -}}
{{- /* The base's digest is of the base's repository and tag: it stays until one of the three is given. */ -}}
{{- if or .repository .tag .digest -}}
{{- $plain := first (splitList "@" $container.image) -}}
{{- $repository := .repository | default (regexReplaceAll ":[^:/]+$" $plain "") -}}
{{- $tag := .tag | default (regexFind "[^:/]+$" $plain) -}}
{{- $_ := set $container "image" (printf "%s:%v%s" $repository $tag (ternary (printf "@%s" .digest) "" (not (empty .digest)))) -}}
{{- end -}}
{{- with .pullPolicy -}}{{- $_ := set $container "imagePullPolicy" . -}}{{- end -}}
{{- end -}}
{{- with .values.imagePullSecrets -}}{{- $_ := set $pod "imagePullSecrets" . -}}{{- end -}}
{{- end -}}

{{- define "sluice.deployment" -}}
{{- $values := .values -}}
{{- if not .autoscaled -}}{{- $_ := set .spec "replicas" (int ($values.model.replicas | default 1)) -}}{{- end -}}
{{- $metadata := .spec.template.metadata -}}
{{- $pod := .spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- with $values.podLabels -}}{{- $_ := mergeOverwrite $metadata.labels (omit . "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") -}}{{- end -}}
{{- with $values.podAnnotations -}}{{- $_ := mergeOverwrite $metadata.annotations . -}}{{- end -}}
{{- range $key := list "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" "terminationGracePeriodSeconds" -}}
{{- with get $values $key -}}{{- $_ := set $pod $key . -}}{{- end -}}
{{- end -}}
{{- range $key := list "resources" "envFrom" -}}
{{- with get $values $key -}}{{- $_ := set $container $key . -}}{{- end -}}
{{- end -}}
{{- with $values.tls -}}
{{- $secret := dict "secretName" (required "tls.secretName is missing: name the Secret with tls.crt and tls.key" .secretName) -}}
{{- $_ := set $pod "volumes" (append $pod.volumes (dict "name" "tls" "secret" $secret)) -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "tls" "mountPath" "/etc/sluice/tls" "readOnly" true)) -}}
{{- $flags := list "--tls-cert=/etc/sluice/tls/tls.crt" "--tls-key=/etc/sluice/tls/tls.key" "--tls-on=http,grpc" -}}
{{- $_ := set $container "args" (concat $container.args $flags) -}}
{{- $_ := set $container.readinessProbe.httpGet "scheme" "HTTPS" -}}
{{- end -}}
{{- if $values.access -}}
{{- $items := list (dict "key" "access.yaml" "path" "access.yaml") -}}
{{- $secret := dict "secretName" (include "sluice.accessSecret" $values) "items" $items -}}
{{- $_ := set $pod "volumes" (append $pod.volumes (dict "name" "access" "secret" $secret)) -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "access" "mountPath" "/etc/sluice/access" "readOnly" true)) -}}
{{- $_ := set $container "args" (append $container.args "--access-file=/etc/sluice/access/access.yaml") -}}
{{- end -}}
{{- $_ := set $container "env" (concat $container.env ($values.env | default list)) -}}
{{- $_ := set $pod "volumes" (concat $pod.volumes ($values.extraVolumes | default list)) -}}
{{- $_ := set $container "volumeMounts" (concat $container.volumeMounts ($values.extraVolumeMounts | default list)) -}}
{{- end -}}

{{- define "sluice.accessSecret" -}}
{{- required "access.secretName is missing: name the Secret with access.yaml, and the tokens prometheus and witness" .access.secretName -}}
{{- end -}}

{{/* With an access file the witness must say who it is. */}}
{{- define "sluice.witnessToken" -}}
{{- $container := first .pod.containers -}}
{{- $secret := dict "secretName" .secretName "items" (list (dict "key" "witness" "path" "token")) -}}
{{- $_ := set .pod "volumes" (append .pod.volumes (dict "name" "token" "secret" $secret)) -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "token" "mountPath" "/etc/sluice/token" "readOnly" true)) -}}
{{- $_ := set $container "args" (append $container.args "--token-file=/etc/sluice/token/token") -}}
{{- end -}}

{{/* `model.replicas` is the least number; it is never 0, which would take the metrics away that could raise it. */}}
{{- define "sluice.autoscaler" -}}
{{- $autoscaling := .values.autoscaling | default dict -}}
{{- with .values.model.replicas -}}{{- $_ := set $.spec "minReplicas" (int .) -}}{{- end -}}
{{- with $autoscaling.maxReplicas -}}{{- $_ := set $.spec "maxReplicas" (int .) -}}{{- end -}}
{{- if lt (int .spec.maxReplicas) (int .spec.minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas is %v, under model.replicas, which is %v" .spec.maxReplicas .spec.minReplicas) -}}
{{- end -}}
{{- end -}}
