{{/* Namespaces of a value that is a list or a text with commas, as JSON. */}}
{{- define "shard-controller.namespaceList" -}}
{{- if kindIs "string" . }}{{ splitList "," . | compact | toJson }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* Namespaces that are exported, as JSON; [] for all. */}}
{{- define "shard-controller.namespaces" -}}
{{- $named := include "shard-controller.namespaceList" .Values.namespaces | fromJsonArray }}
{{- if and .Values.rbac.namespaced (not $named) }}{{ $named = list .Release.Namespace }}{{ end }}
{{- toJson $named }}
{{- end }}

{{/* Rules to read the kinds of `collectors`: a YAML list. */}}
{{- define "shard-controller.exportedRules" -}}
{{- $kinds := .Files.Get "files/kinds.yaml" | fromYaml }}
{{- $byGroup := dict }}
{{- range $scope := list "clusterScoped" "namespaced" }}
{{- range $group, $names := get $kinds $scope }}
{{- range $names }}
{{- if has . $.Values.collectors }}{{ $_ := set $byGroup $group (append (get $byGroup $group | default list) .) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $group, $names := $byGroup -}}
- apiGroups: [{{ $group | quote }}]
  resources:
    {{- toYaml (sortAlpha $names) | nindent 4 }}
  verbs: [get, list, watch]
{{ end }}
{{- if .Values.customResourceState.enabled -}}
# kube-state-metrics finds the kinds of its configuration by reading all definitions.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
{{ end }}
{{- with .Values.rbac.extraRules }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* `spec.exporter` of the default ShardConfig, as YAML. */}}
{{- define "shard-controller.exporter" -}}
{{- $namespaces := include "shard-controller.namespaces" . | fromJsonArray }}
{{- $denied := include "shard-controller.namespaceList" .Values.namespacesDenylist | fromJsonArray }}
{{- $args := list }}
{{- range $flag, $values := dict "namespaces" $namespaces "namespaces-denylist" $denied "metric-allowlist" .Values.metricAllowlist "metric-denylist" .Values.metricDenylist }}
{{- if $values }}{{ $args = append $args (printf "--%s=%s" $flag (join "," $values)) }}{{ end }}
{{- end }}
image: {{ include "shard-controller.image" (dict "root" . "image" .Values.exporter.image) | quote }}
resources:
  {{- toYaml .Values.collectors | nindent 2 }}
{{- with .Values.metricLabelsAllowlist }}
labelsAllowlist:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.metricAnnotationsAllowList }}
annotationsAllowlist:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.customResourceState.enabled }}
customResourceState: {{ toYaml .Values.customResourceState.config | quote }}
{{- end }}
{{- with concat $args .Values.extraArgs }}
extraArgs:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The default ShardConfig, as YAML without its owner. */}}
{{- define "shard-controller.shardConfig" -}}
{{- $spec := deepCopy .Values.shardConfig.spec }}
{{- with include "shard-controller.pullSecrets" . | fromJsonArray }}
{{- $_ := set $spec "imagePullSecrets" (concat ($spec.imagePullSecrets | default list) . | uniq) }}
{{- end }}
{{- $labels := dict }}
{{- range $key, $value := .Values.commonLabels }}
{{- if not (regexMatch "^(shard|app\\.kubernetes)\\.io/" $key) }}{{ $_ := set $labels $key $value }}{{ end }}
{{- end }}
{{- with mergeOverwrite $labels ($spec.podLabels | default dict) }}
{{- $_ := set $spec "podLabels" . }}
{{- end }}
{{- $_ := set $spec "exporter" (include "shard-controller.exporter" . | fromYaml) }}
apiVersion: shard.io/v1
kind: ShardConfig
metadata:
  name: {{ .Values.shardConfig.name }}
  namespace: {{ .Release.Namespace }}
  {{- include "shard-controller.metadata" (dict "root" . "component" "shards" "labels" .Values.shardConfig.labels "annotations" .Values.shardConfig.annotations) | nindent 2 }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end }}
