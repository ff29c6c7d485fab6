{{/* nats.conf. A message counts as written when it is on disk: a decision that was acknowledged outlives a power cut. */}}
{{- define "shard-controller.natsConfiguration" -}}
{{- $name := printf "%s-nats" (include "shard-controller.fullname" .) -}}
{{- $size := .Values.nats.persistence.size -}}
{{- $mebibytes := mul (regexFind "^[0-9]+" $size | int) (hasSuffix "Gi" $size | ternary 1024 1) -}}
server_name: $POD_NAME
port: 4222
http_port: 8222
jetstream {
  store_dir: /data
  sync_interval: always
  max_file_store: {{ div (mul $mebibytes 3) 4 }}MiB
}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster {
  name: {{ $name }}
  port: 6222
  routes: [
    {{- range $i := until (int .Values.nats.replicas) }}
    nats://{{ $name }}-{{ $i }}.{{ $name }}-servers.{{ $.Release.Namespace }}.svc:6222
    {{- end }}
  ]
}
{{- end }}
{{- end }}
