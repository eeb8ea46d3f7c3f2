{{/* Where a pod runs, and with what priority. Takes (list root component), the component being its part of the values. */}}
{{- define "hxmlops.podPlacement" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 -}}
nodeSelector:
  kubernetes.io/os: linux
  {{- with $component.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
