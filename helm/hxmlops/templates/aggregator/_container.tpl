{{/* Parts that the aggregator's containers share. */}}

{{- define "hxmlops.aggregator.securityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "hxmlops.aggregator.dataMounts" -}}
- name: data
  mountPath: /var/lib/hxmlops
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "hxmlops.aggregator.intensityMounts" -}}
{{- with .Values.aggregator.intensity }}
{{- if .files }}
- name: intensity
  mountPath: /etc/hxmlops/intensity
  readOnly: true
{{- end }}
{{- if .existingConfigMap }}
- name: more-intensity
  mountPath: /etc/hxmlops/more-intensity
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{/* Takes (list root path). The kubelet does not check the certificate. */}}
{{- define "hxmlops.aggregator.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: api
  scheme: {{ ternary "HTTP" "HTTPS" (eq (index . 0).Values.tls.mode "off") }}
{{- end }}
