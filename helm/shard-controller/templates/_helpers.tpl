{{- define "shard-controller.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* How the names of all objects begin: at most 40 characters, so that there is room for what follows. */}}
{{- define "shard-controller.fullname" -}}
{{- $name := include "shard-controller.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Names of cluster-scoped objects begin with the namespace, so that two releases do not share rights. */}}
{{- define "shard-controller.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "shard-controller.fullname" .) -}}
{{- end }}

{{- define "shard-controller.managerAccount" -}}
{{- default (printf "%s-manager" (include "shard-controller.fullname" .)) .Values.manager.serviceAccount.name -}}
{{- end }}

{{- define "shard-controller.workerAccount" -}}
{{- default (printf "%s-worker" (include "shard-controller.fullname" .)) .Values.worker.serviceAccount.name -}}
{{- end }}

{{/* What selects the pods of a component: (dict "root" $ "component" "manager"). */}}
{{- define "shard-controller.selector" -}}
app.kubernetes.io/name: {{ include "shard-controller.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of an object of the chart: (dict "root" $ "component" "manager"). The selector's win over common ones. */}}
{{- define "shard-controller.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/part-of" "shard-controller"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
}}
{{- toYaml (mergeOverwrite (dict) .root.Values.commonLabels $own (include "shard-controller.selector" . | fromYaml)) }}
{{- end }}

{{/*
Labels and annotations of an object of the chart:
(dict "root" $ "component" "manager" "labels" (dict …) "annotations" (dict …)).
*/}}
{{- define "shard-controller.metadata" -}}
labels:
  {{- toYaml (mergeOverwrite (dict) (.labels | default dict) (include "shard-controller.labels" . | fromYaml)) | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The same for what `shardConfig.keep` leaves when the release goes. */}}
{{- define "shard-controller.keptMetadata" -}}
{{- $kept := ternary (dict "helm.sh/resource-policy" "keep") (dict) .root.Values.shardConfig.keep }}
{{- include "shard-controller.metadata" (mergeOverwrite (dict) . (dict "annotations" (mergeOverwrite (dict) (.annotations | default dict) $kept))) }}
{{- end }}

{{- define "shard-controller.definitionMetadata" -}}
{{- $kept := ternary (dict "helm.sh/resource-policy" "keep") (dict) .Values.crds.keep }}
{{- include "shard-controller.metadata" (dict "root" . "component" "definitions" "annotations" $kept) }}
{{- end }}

{{/* An image's reference: (dict "root" $ "image" .Values.manager.image). */}}
{{- define "shard-controller.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry }}
{{- $repository := .image.repository }}
{{- if $registry }}{{ $repository = printf "%s/%s" $registry $repository }}{{ end }}
{{- $tagged := printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) }}
{{- if .image.digest }}{{ printf "%s@%s" $tagged .image.digest }}{{ else }}{{ $tagged }}{{ end }}
{{- end }}

{{/* As JSON, so that both a pod and a ShardConfig can take it. */}}
{{- define "shard-controller.pullSecrets" -}}
{{- concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq | toJson -}}
{{- end }}

{{- define "shard-controller.isOpenShift" -}}
{{- if or (eq .Values.platform "openshift") (and (eq .Values.platform "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{ end }}
{{- end }}

{{- define "shard-controller.podSecurityContext" -}}
runAsNonRoot: true
{{- if not (include "shard-controller.isOpenShift" .) }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "shard-controller.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end }}

{{/* What Kubernetes would mount by itself, with a token that ends within the hour. */}}
{{- define "shard-controller.tokenVolume" -}}
name: api-access
projected:
  defaultMode: 288 # 0440
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3600
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end }}

{{- define "shard-controller.tokenMount" -}}
name: api-access
mountPath: /var/run/secrets/kubernetes.io/serviceaccount
readOnly: true
{{- end }}

{{/*
Where a component's pods run, and who may pull for them: (dict "root" $ "component" "manager" "values" .Values.manager).
Spreading is a preference: a pod that shares a node is better than one that is pending.
*/}}
{{- define "shard-controller.placement" -}}
{{- $selector := include "shard-controller.selector" . | fromYaml -}}
{{- with include "shard-controller.pullSecrets" .root | fromJsonArray -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
nodeSelector:
  {{- toYaml (merge (dict) .values.nodeSelector (dict "kubernetes.io/os" "linux")) | nindent 2 }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
affinity:
  {{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- toYaml $selector | nindent 14 }}
  {{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
  {{- end }}
{{- end }}

{{/* Labels and annotations of a component's pods; "annotations" holds those of the chart itself. */}}
{{- define "shard-controller.podMetadata" -}}
labels:
  {{- toYaml (mergeOverwrite (dict) .root.Values.commonLabels .values.podLabels (dict "app.kubernetes.io/part-of" "shard-controller") (include "shard-controller.selector" . | fromYaml)) | nindent 2 }}
{{- with mergeOverwrite (dict) .values.podAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where managers and workers find NATS. */}}
{{- define "shard-controller.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "shard-controller.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{ .Values.externalNats.url }}
{{- end -}}
{{- end }}

{{/* PodDisruptionBudget of a component: (dict "root" $ "component" "manager" "values" .Values.manager). */}}
{{- define "shard-controller.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "shard-controller.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "shard-controller.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "shard-controller.selector" . | nindent 6 }}
{{- end }}

{{/* A container that runs one of the chart's scripts with the Node of the manager's image. */}}
{{- define "shard-controller.scriptContainer" -}}
image: {{ include "shard-controller.image" (dict "root" . "image" .Values.manager.image) }}
imagePullPolicy: {{ .Values.manager.image.pullPolicy }}
resources:
  requests:
    cpu: 10m
    memory: 64Mi
  limits:
    memory: 128Mi
securityContext:
  {{- include "shard-controller.containerSecurityContext" . | nindent 2 }}
{{- end }}

{{/* Namespaces that the pods of KSMScales may be in, as JSON. */}}
{{- define "shard-controller.ksmScaleNamespaces" -}}
{{- .Values.ksmScale.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end }}

{{/* What a manager keeps for KSMScales where their pods are. */}}
{{- define "shard-controller.ksmScalePodRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
{{- end }}

{{/* Whether the chart runs NATS. */}}
{{- define "shard-controller.runsNats" -}}
{{- if and .Values.manager.shardConfigs .Values.nats.enabled }}true{{ end -}}
{{- end }}
