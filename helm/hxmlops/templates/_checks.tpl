{{/* What the schema cannot say: values that do not go together. Each is one line that says what to change. */}}

{{- define "hxmlops.checks" -}}
{{- $tls := .Values.tls }}
{{- if and (eq $tls.mode "secret") (not $tls.secret.name) }}
{{- fail "tls.mode is 'secret' and tls.secret.name is empty: name the secret with tls.crt, tls.key and the authority" }}
{{- end }}
{{- if and (eq $tls.mode "certManager") (not $tls.certManager.issuerRef.name) }}
{{- fail "tls.mode is 'certManager' and tls.certManager.issuerRef.name is empty: name an Issuer or a ClusterIssuer" }}
{{- end }}
{{- if and .Values.aggregator.enabled .Values.agent.aggregatorUrl }}
{{- fail "agent.aggregatorUrl is set and the chart's own aggregator too: set aggregator.enabled=false, or leave the URL out" }}
{{- end }}
{{- if and .Values.agent.enabled (not .Values.aggregator.enabled) .Values.agent.aggregatorUrl }}
{{- if not .Values.tokens.existingSecret }}
{{- fail "agent.aggregatorUrl is set and tokens.existingSecret is empty: name the secret with the token of that aggregator" }}
{{- end }}
{{- if not (or (eq $tls.mode "secret") (eq $tls.mode "off")) }}
{{- fail (printf "tls.mode is '%s', which makes a certificate for the chart's own aggregator: with agent.aggregatorUrl it is 'secret' (with the authority of that aggregator) or 'off'" $tls.mode) }}
{{- end }}
{{- if ne (eq $tls.mode "off") (hasPrefix "http://" .Values.agent.aggregatorUrl) }}
{{- fail (printf "agent.aggregatorUrl is %s and tls.mode '%s': http:// goes with 'off', https:// with 'secret'" .Values.agent.aggregatorUrl $tls.mode) }}
{{- end }}
{{- end }}
{{- if and .Values.agent.enabled .Values.agent.hostNetwork .Values.aggregator.enabled .Values.networkPolicy.enabled }}
{{- if not (contains "ipBlock" (toJson .Values.networkPolicy.clients)) }}
{{- fail "agent.hostNetwork is set and networkPolicy.clients has no ipBlock: agents come from their nodes' addresses, and none would reach the aggregator" }}
{{- end }}
{{- end }}
{{- if has .Values.tokens.readKey (list .Values.tokens.adminKey .Values.tokens.ingestKey) }}
{{- fail (printf "tokens.readKey is '%s', which is another token's key" .Values.tokens.readKey) }}
{{- end }}
{{- if eq .Values.tokens.adminKey .Values.tokens.ingestKey }}
{{- fail (printf "tokens.adminKey and tokens.ingestKey are both '%s': agents would be administrators" .Values.tokens.adminKey) }}
{{- end }}
{{- if and .Values.aggregator.intensity.existingConfigMap (not .Values.aggregator.intensity.keys) }}
{{- fail "aggregator.intensity.existingConfigMap is set and aggregator.intensity.keys is empty: list the files in it" }}
{{- end }}
{{- if and .Values.aggregator.intensity.secretKey (not .Values.aggregator.intensity.existingSecret) }}
{{- fail "aggregator.intensity.secretKey is set and aggregator.intensity.existingSecret is empty: name the secret" }}
{{- end }}
{{- $providers := list (.Values.aggregator.config.intensity | default "static") }}
{{- range .Values.aggregator.config.sites }}
{{- $providers = append $providers (.intensity | default "static") }}
{{- end }}
{{- $isGuarded := and .Values.aggregator.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.aggregatorEgress) }}
{{- range $provider := $providers }}
{{- if and $isGuarded (ne $provider "static") (not (hasPrefix "file:" $provider)) }}
{{- fail (printf "aggregator.config asks %s for intensities and networkPolicy.aggregatorEgress is empty: let the aggregator reach it, and DNS" $provider) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.agent.seccompProfile.type "Localhost") (not .Values.agent.seccompProfile.localhostProfile) }}
{{- fail "agent.seccompProfile.type is 'Localhost' and agent.seccompProfile.localhostProfile is empty: name the file" }}
{{- end }}
{{- if and (eq .Values.aggregator.service.type "ClusterIP") .Values.aggregator.service.nodePort }}
{{- fail "aggregator.service.nodePort is set and the type is ClusterIP: set aggregator.service.type=NodePort" }}
{{- end }}
{{- end }}
