{{/* What the schema cannot say: values that do not go together. Each is one line that says what to change. */}}

{{- define "module.checks" -}}
{{- if gt (len .Release.Name) 40 }}
{{- fail (printf "the release's name '%s' has %d characters: 40 are the most" .Release.Name (len .Release.Name)) }}
{{- end }}
{{- if not .Values.image.repository }}
{{- fail "image.repository is empty: the values of a module are missing; see helm/catalogue" }}
{{- end }}
{{- if not (or .Values.image.tag .Values.image.digest) }}
{{- fail "image.tag and image.digest are empty: name a version" }}
{{- end }}
{{- if .Values.probes.none }}
{{- if or .Values.probes.liveness .Values.probes.readiness }}
{{- fail "probes.none says why there are no probes, and there are some: leave one of them out" }}
{{- end }}
{{- else if not (and .Values.probes.liveness .Values.probes.readiness) }}
{{- fail "probes.liveness and probes.readiness are required, or probes.none with the reason" }}
{{- end }}
{{- include "module.checkResources" . }}
{{- include "module.checkStorage" . }}
{{- include "module.checkNetwork" . }}
{{- if and .Values.security.runAsNonRoot (not (kindIs "invalid" .Values.security.runAsUser)) }}
{{- if eq (int .Values.security.runAsUser) 0 }}
{{- fail "security.runAsUser is 0 and security.runAsNonRoot is true: a pod could never start" }}
{{- end }}
{{- end }}
{{- if and .Values.security.privileged .Values.security.capabilities }}
{{- fail "security.privileged is true, which has every capability: leave security.capabilities empty" }}
{{- end }}
{{- if and .Values.secret.existing (not .Values.secret.generate) }}
{{- fail "secret.existing is set, and the module has no secret of its own: see secret.generate" }}
{{- end }}
{{- end }}

{{- define "module.checkResources" -}}
{{- $requests := .Values.resources.requests | default dict }}
{{- if not (and $requests.cpu $requests.memory) }}
{{- fail "resources.requests needs cpu and memory" }}
{{- end }}
{{- end }}

{{- define "module.checkStorage" -}}
{{- $persistence := .Values.persistence }}
{{- if $persistence.enabled }}
{{- if not $persistence.mountPath }}
{{- fail "persistence.enabled is true and persistence.mountPath is empty: nothing would be kept" }}
{{- end }}
{{- if eq .Values.kind "daemonset" }}
{{- fail "persistence.enabled is true and kind is 'daemonset': its pods would share one volume" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not (has "ReadWriteMany" $persistence.accessModes)) }}
{{- fail (printf "replicas is %d and the volume is for one node: set replicas=1, or persistence.accessModes={ReadWriteMany}" (int .Values.replicas)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "module.checkNetwork" -}}
{{- $exposed := (include "module.exposed" . | fromJson).ports }}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (not (and .Values.service.enabled $exposed)) }}
{{- fail "ingress.enabled or gateway.enabled is true and there is no Service: see service.enabled and ports" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.enabled is true and ingress.host is empty: name the host" }}
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) }}
{{- fail "gateway.enabled is true and gateway.parentRefs is empty: name the Gateway" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (ne .Values.service.type "ClusterIP") }}
{{- if not (contains "ipBlock" (toJson .Values.networkPolicy.from)) }}
{{- fail (printf "service.type is '%s', and networkPolicy.from lets no address in: add an ipBlock of the clients" .Values.service.type) }}
{{- end }}
{{- end }}
{{- if .Values.metrics.port }}
{{- $names := list }}
{{- range .Values.ports }}
{{- $names = append $names .name }}
{{- end }}
{{- if not (has .Values.metrics.port $names) }}
{{- fail (printf "metrics.port is '%s', and no port has this name: see ports" .Values.metrics.port) }}
{{- end }}
{{- else if .Values.serviceMonitor.enabled }}
{{- fail "serviceMonitor.enabled is true and metrics.port is empty: the module has no metrics" }}
{{- end }}
{{- end }}
