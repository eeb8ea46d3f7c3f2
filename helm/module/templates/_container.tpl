{{/* Parts that the module's container and those before it share. Each takes the root context. */}}

{{/* A variable sees those before it: secrets come first, and texts that are made of others last. */}}
{{- define "module.env" -}}
{{- range $name, $field := .Values.fieldEnv }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $field }}
{{- end }}
{{- range $name, $from := .Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret | default (include "module.secret" $) }}
      key: {{ $from.key }}
      {{- if $from.optional }}
      optional: true
      {{- end }}
{{- end }}
{{- range $isMade := list false true }}
{{- range $name, $value := $.Values.env }}
{{- if eq $isMade (contains "$(" (toString $value)) }}
- name: {{ $name }}
  value: {{ include "module.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "module.securityContext" -}}
readOnlyRootFilesystem: {{ .Values.security.readOnlyRootFilesystem }}
{{- if .Values.security.privileged }}
privileged: true
{{- else }}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
  {{- with .Values.security.capabilities }}
  add:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "module.mounts" -}}
{{- if .Values.config.files }}
- name: config
  mountPath: {{ .Values.config.mountPath }}
  readOnly: true
{{- end }}
{{- if .Values.persistence.enabled }}
- name: data
  mountPath: {{ .Values.persistence.mountPath }}
{{- end }}
{{- range $name, $mount := .Values.secretMounts }}
- name: secret-{{ $name }}
  mountPath: {{ $mount.mountPath }}
  readOnly: true
{{- end }}
{{- range $name, $directory := .Values.emptyDirs }}
- name: {{ $name }}
  mountPath: {{ $directory.mountPath }}
{{- end }}
{{- range $name, $mount := .Values.host.mounts }}
- name: host-{{ $name }}
  mountPath: {{ $mount.mountPath }}
  readOnly: {{ ne (toString $mount.readOnly) "false" }}
{{- end }}
{{- end }}

{{- define "module.volumes" -}}
{{- if .Values.config.files }}
- name: config
  configMap:
    name: {{ include "module.name" . }}-config
    items:
      {{- range $path, $_ := .Values.config.files }}
      - key: {{ include "module.fileKey" $path }}
        path: {{ $path }}
      {{- end }}
{{- end }}
{{- if .Values.persistence.enabled }}
- name: data
  persistentVolumeClaim:
    claimName: {{ include "module.claim" . }}
{{- end }}
{{- range $name, $mount := .Values.secretMounts }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ $mount.secret | default (include "module.secret" $) }}
    # The pod's group reads it (fsGroup); root owns it.
    defaultMode: {{ ternary "0400" "0440" (kindIs "invalid" $.Values.security.fsGroup) }}
    {{- if $mount.optional }}
    optional: true
    {{- end }}
    {{- with $mount.keys }}
    items:
      {{- range . }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
    {{- end }}
{{- end }}
{{- range $name, $directory := .Values.emptyDirs }}
- name: {{ $name }}
  {{- if or $directory.sizeLimit $directory.medium }}
  emptyDir:
    {{- with $directory.sizeLimit }}
    sizeLimit: {{ . }}
    {{- end }}
    {{- with $directory.medium }}
    medium: {{ . }}
    {{- end }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- range $name, $mount := .Values.host.mounts }}
- name: host-{{ $name }}
  hostPath:
    path: {{ $mount.path }}
    type: {{ $mount.type | default "Directory" }}
{{- end }}
{{- end }}
