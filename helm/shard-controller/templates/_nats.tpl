{{/* nats.conf. A message counts as written when it is on disk: a decision that was acknowledged outlives a power cut. */}}
{{- define "shard-controller.natsConfiguration" -}}
{{- $name := printf "%s-nats" (include "shard-controller.fullname" .) -}}
{{- $size := .Values.nats.persistence.size -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $size | int) (hasSuffix "Gi" $size | ternary 1024 1) -}}
server_name: $POD_NAME
port: 4222
http_port: 8222
{{- if .Values.nats.auth.enabled }}
include ./users.conf
{{- end }}
{{- if .Values.nats.tls.enabled }}
tls {
  cert_file: /etc/nats/tls.crt
  key_file: /etc/nats/tls.key
  timeout: 5
}
{{- end }}
jetstream {
  store_dir: /data
  sync_interval: always
  max_file_store: {{ div (mul $mebibytes 3) 4 }}MiB
}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster {
  name: {{ $name }}
  port: 6222
  {{- if .Values.nats.tls.enabled }}
  # Servers know each other by their certificate.
  tls {
    cert_file: /etc/nats/tls.crt
    key_file: /etc/nats/tls.key
    ca_file: /etc/nats/ca.crt
    verify: true
    timeout: 5
  }
  {{- end }}
  routes: [
    {{- range $i := until (int .Values.nats.replicas) }}
    nats://{{ $name }}-{{ $i }}.{{ $name }}-servers.{{ $.Release.Namespace }}.svc:6222
    {{- end }}
  ]
}
{{- end }}
{{- end }}

{{/* Whether a Job makes keys or certificates for the bundled NATS. */}}
{{- define "shard-controller.natsJob" -}}
{{- if and (include "shard-controller.runsNats" .) (or .Values.nats.auth.enabled (and .Values.nats.tls.enabled (not .Values.nats.tls.existingSecret))) -}}
true
{{- end -}}
{{- end }}

{{/* Secret with the server's certificate. */}}
{{- define "shard-controller.natsCertificateSecret" -}}
{{- .Values.nats.tls.existingSecret | default (printf "%s-nats-server" (include "shard-controller.fullname" .)) -}}
{{- end }}

{{/* How managers and workers get in, as a dict: auth, account, managerSecret, workerSecret, caSecret, certSecret. */}}
{{- define "shard-controller.natsAccess" -}}
{{- $name := printf "%s-nats" (include "shard-controller.fullname" .) -}}
{{- $access := dict "auth" "none" "account" "SHARDS" "managerSecret" "" "workerSecret" "" "caSecret" "" "certSecret" "" -}}
{{- if .Values.nats.enabled -}}
{{- if .Values.nats.auth.enabled -}}
{{- $_ := merge (set $access "auth" "service-account") (dict) -}}
{{- $_ := set $access "managerSecret" (printf "%s-manager" $name) -}}
{{- end -}}
{{- if .Values.nats.tls.enabled -}}
{{- $_ := set $access "caSecret" (.Values.nats.tls.existingSecret | default (printf "%s-ca" $name)) -}}
{{- end -}}
{{- else -}}
{{- with .Values.externalNats.auth -}}
{{- $_ := set $access "auth" .kind -}}
{{- $_ := set $access "account" .account -}}
{{- $_ := set $access "managerSecret" .managerSecret -}}
{{- $_ := set $access "workerSecret" .workerSecret -}}
{{- end -}}
{{- with .Values.externalNats.tls -}}
{{- $_ := set $access "caSecret" .caSecret -}}
{{- $_ := set $access "certSecret" .certSecret -}}
{{- end -}}
{{- end -}}
{{- $access | toJson -}}
{{- end }}

{{/* Sources of the volume with which a manager gets in, by file name. */}}
{{- define "shard-controller.natsManagerFiles" -}}
{{- $access := include "shard-controller.natsAccess" . | fromJson -}}
{{- $keys := get (dict "credentials" (list "nats.creds") "nkey" (list "nats.nk") "token" (list "token") "password" (list "username" "password") "service-account" (list "nats.nk" "issuer.nk")) $access.auth -}}
{{- $sources := list -}}
{{- if $keys }}{{- $sources = append $sources (dict "name" $access.managerSecret "keys" $keys) }}{{- end -}}
{{- if $access.caSecret }}{{- $sources = append $sources (dict "name" $access.caSecret "keys" (list "ca.crt")) }}{{- end -}}
{{- if $access.certSecret }}{{- $sources = append $sources (dict "name" $access.certSecret "keys" (list "tls.crt" "tls.key")) }}{{- end -}}
{{- $sources | toJson -}}
{{- end }}
