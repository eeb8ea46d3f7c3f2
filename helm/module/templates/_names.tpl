{{/* Names and labels. Each takes the root context. */}}

{{- define "module.name" -}}
{{ .Release.Name }}
{{- end }}

{{- define "module.secret" -}}
{{ .Values.secret.existing | default (printf "%s-auth" .Release.Name) }}
{{- end }}

{{- define "module.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-data" .Release.Name) }}
{{- end }}

{{/* What has no namespace is named by the namespace too: another release may have the same name elsewhere. */}}
{{- define "module.clusterRole" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}
{{- end }}

{{- define "module.workloadKind" -}}
{{ get (dict "deployment" "Deployment" "statefulset" "StatefulSet" "daemonset" "DaemonSet") .Values.kind }}
{{- end }}

{{/* What selects the pods; never changes with a version. */}}
{{- define "module.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "module.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "module.selector" . }}
app.kubernetes.io/version: {{ include "module.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hxmlops
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* A label has 63 characters, and tags may have more. */}}
{{- define "module.version" -}}
{{ .Values.image.tag | default (.Values.image.digest | replace "sha256:" "") | trunc 63 | trimAll "-_." }}
{{- end }}

{{/* The energy's name in the ledger. */}}
{{- define "module.component" -}}
{{ .Values.component | default .Release.Name }}
{{- end }}

{{- define "module.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{/* The exposed ports, as a list in JSON under `ports`. */}}
{{- define "module.exposed" -}}
{{- $exposed := list }}
{{- range .Values.ports }}
{{- if ne (toString .expose) "false" }}
{{- $exposed = append $exposed . }}
{{- end }}
{{- end }}
{{- dict "ports" $exposed | toJson }}
{{- end }}

{{/* Number of the Service's port of this name, or of the first. Takes (list root name). */}}
{{- define "module.servicePort" -}}
{{- $name := index . 1 }}
{{- $found := dict }}
{{- range (include "module.exposed" (index . 0) | fromJson).ports }}
{{- if and (not $found) (or (not $name) (eq .name $name)) }}
{{- $found = . }}
{{- end }}
{{- end }}
{{- if not $found }}
{{- fail (printf "no exposed port is named '%s': see ports" $name) }}
{{- end }}
{{- $found.servicePort | default $found.port }}
{{- end }}

{{/* A value of the environment as text: numbers come from YAML as floats, and have to look as they were written. */}}
{{- define "module.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* The key of a file in the ConfigMap: keys have no slashes. */}}
{{- define "module.fileKey" -}}
{{ replace "/" "__" . }}
{{- end }}
