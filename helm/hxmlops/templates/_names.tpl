{{/* Names and labels. Each takes the root context. */}}

{{- define "hxmlops.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "hxmlops.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "hxmlops.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "hxmlops.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "hxmlops.agent.name" -}}
{{ include "hxmlops.fullname" . }}-agent
{{- end }}

{{- define "hxmlops.aggregator.name" -}}
{{ include "hxmlops.fullname" . }}-aggregator
{{- end }}

{{/* What has no namespace is named by the namespace too: another release may have the same name elsewhere. */}}
{{- define "hxmlops.clusterRole.name" -}}
{{ .Release.Namespace }}-{{ include "hxmlops.agent.name" . }}
{{- end }}

{{- define "hxmlops.agent.serviceAccount" -}}
{{- $account := .Values.agent.serviceAccount }}
{{- if $account.name }}{{ $account.name }}{{ else if $account.create }}{{ include "hxmlops.agent.name" . }}{{ else }}default{{ end }}
{{- end }}

{{- define "hxmlops.aggregator.serviceAccount" -}}
{{- $account := .Values.aggregator.serviceAccount }}
{{- if $account.name }}{{ $account.name }}{{ else if $account.create }}{{ include "hxmlops.aggregator.name" . }}{{ else }}default{{ end }}
{{- end }}

{{- define "hxmlops.tokens.secret" -}}
{{- .Values.tokens.existingSecret | default (printf "%s-tokens" (include "hxmlops.fullname" .)) }}
{{- end }}

{{- define "hxmlops.tls.secret" -}}
{{- if eq .Values.tls.mode "secret" }}{{ .Values.tls.secret.name }}{{ else }}{{ include "hxmlops.fullname" . }}-tls{{ end }}
{{- end }}

{{- define "hxmlops.tls.caKey" -}}
{{- if eq .Values.tls.mode "secret" }}{{ .Values.tls.secret.caKey }}{{ else }}ca.crt{{ end }}
{{- end }}

{{/* Every name under which the aggregator is asked, as a list in JSON. */}}
{{- define "hxmlops.aggregator.hosts" -}}
{{- $name := include "hxmlops.aggregator.name" . }}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) }}
{{- $hosts = concat $hosts (list (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) "localhost") .Values.tls.extraNames }}
{{- $hosts | uniq | toJson }}
{{- end }}

{{- define "hxmlops.aggregator.host" -}}
{{ include "hxmlops.aggregator.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Where agents send to; empty where nobody takes it. */}}
{{- define "hxmlops.aggregator.url" -}}
{{- if .Values.aggregator.enabled -}}
{{ ternary "http" "https" (eq .Values.tls.mode "off") }}://{{ include "hxmlops.aggregator.host" . }}:{{ .Values.aggregator.port }}
{{- else -}}
{{ .Values.agent.aggregatorUrl }}
{{- end }}
{{- end }}

{{- define "hxmlops.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
app.kubernetes.io/name: {{ include "hxmlops.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hxmlops
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects the pods of a component; never changes with a version. Takes (list root component). */}}
{{- define "hxmlops.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "hxmlops.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object of a component. Takes (list root component). */}}
{{- define "hxmlops.componentLabels" -}}
{{ include "hxmlops.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Takes (list root image). */}}
{{- define "hxmlops.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Kubernetes' version is at least this. Takes (list root version). */}}
{{- define "hxmlops.isKube" -}}
{{- if semverCompare (printf ">=%s-0" (index . 1)) (index . 0).Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}
