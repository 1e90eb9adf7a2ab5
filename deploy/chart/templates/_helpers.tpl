{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* 50 characters at most: Kubernetes appends to names of pods and Jobs, and a label ends at 63. */ -}}
{{- define "bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "bridge.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bridge.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ include "bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "bridge.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "bridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bridge.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bridge.configMap" -}}
{{- default (printf "%s-config" (include "bridge.fullname" .)) .Values.config.existingConfigMap -}}
{{- end -}}

{{- define "bridge.mappingConfigMap" -}}
{{- default (printf "%s-mapping" (include "bridge.fullname" .)) .Values.mapping.existingConfigMap -}}
{{- end -}}

{{- /* Every name of the Ingress with its certificate, as a JSON list. */ -}}
{{- define "bridge.hosts" -}}
{{- $hosts := default list .Values.ingress.hosts -}}
{{- with .Values.ingress.host -}}
  {{- $hosts = prepend $hosts (dict "host" . "tlsSecret" $.Values.ingress.tlsSecret) -}}
{{- end -}}
{{- toJson $hosts -}}
{{- end -}}

{{- /* Whether there is a test event for `helm test`. The test's pod has the secrets alone: no private key, no address that
     `allow_addresses` knows, no client certificate. */ -}}
{{- define "bridge.isTested" -}}
{{- $sources := include "bridge.mapOf" (list (include "bridge.config" . | fromYaml) "sources") | fromYaml -}}
{{- $source := include "bridge.mapOf" (list $sources .Values.test.source) | fromYaml -}}
{{- $isClosed := or (hasKey $source "allow_addresses") (hasKey $source "client_certificate") (contains "\"public_keys\":" (toJson $source)) -}}
{{- if and .Values.test.enabled .Values.hooks.enabled (not $isClosed) -}}
true
{{- end -}}
{{- end -}}

{{- /* bridge.yaml, where it stands in the values. */ -}}
{{- define "bridge.config" -}}
{{- empty .Values.config.existingConfigMap | ternary .Values.config.bridge "" -}}
{{- end -}}

{{- /* A key of a map that is a map itself, else an empty one: what a person wrote may be anything. (map, key) */ -}}
{{- define "bridge.mapOf" -}}
{{- $found := get (index . 0) (index . 1) -}}
{{- kindIs "map" $found | ternary $found dict | toYaml -}}
{{- end -}}

{{- /* A map of values without those that are null: that is how a value is left out. */ -}}
{{- define "bridge.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
  {{- if not (kindIs "invalid" $value) -}}
    {{- $_ := set $given $key $value -}}
  {{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{- /* Labels of a pod: those of every object, what it is, and the user's. */ -}}
{{- define "bridge.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "bridge.labels" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- with $root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Image, variables and limits that every container of the chart shares; only name, args and mounts differ. */ -}}
{{- define "bridge.container" -}}
image: {{ include "bridge.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "bridge.given" .Values.securityContext | nindent 2 }}
# The last lines of the log are the reason, shown by `kubectl describe pod`.
terminationMessagePolicy: FallbackToLogsOnError
env:
  {{- include "bridge.env" . | nindent 2 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "bridge.env" -}}
- {name: BRIDGE_CONFIG, value: /etc/bridge/config/bridge.yaml}
- {name: BRIDGE_MAPPING, value: {{ default "/etc/bridge/mapping" .Values.mapping.folder | quote }}}
- {name: BRIDGE_HOST, value: "0.0.0.0"}
- {name: BRIDGE_PORT, value: "8080"}
- {name: BRIDGE_ADMIN_HOST, value: "0.0.0.0"}
- {name: BRIDGE_ADMIN_PORT, value: {{ .Values.adminService.port | quote }}}
- {name: BRIDGE_ADMIN_TOKEN_FILE, value: {{ printf "/etc/bridge/secrets/%s/%s" .Values.adminToken.secret .Values.adminToken.key | quote }}}
{{- range $role, $token := dict "OPERATOR" .Values.operatorToken "VIEWER" .Values.viewerToken "METRICS" .Values.metricsToken "OUTCOMES" .Values.outcomesToken }}
{{- with $token.secret }}
- {name: {{ printf "BRIDGE_%s_TOKEN_FILE" $role }}, value: {{ printf "/etc/bridge/secrets/%s/%s" . $token.key | quote }}}
{{- end }}
{{- end }}
{{- with .Values.adminTls }}
{{- if .secret }}
- {name: BRIDGE_ADMIN_TLS_CERT_FILE, value: {{ printf "/etc/bridge/secrets/%s/%s" .secret .certKey | quote }}}
- {name: BRIDGE_ADMIN_TLS_KEY_FILE, value: {{ printf "/etc/bridge/secrets/%s/%s" .secret .keyKey | quote }}}
{{- end }}
{{- end }}
{{- if eq .Values.store.type "postgresql" }}
{{- with .Values.store.postgresql.urlSecret }}
- {name: BRIDGE_DATABASE_URL_FILE, value: {{ printf "/etc/bridge/secrets/%s/%s" . $.Values.store.postgresql.urlKey | quote }}}
{{- else }}
- {name: BRIDGE_DATABASE_URL, value: {{ .Values.store.postgresql.url | quote }}}
{{- end }}
{{- with .Values.store.postgresql.passwordSecret }}
- {name: BRIDGE_DATABASE_PASSWORD_FILE, value: {{ printf "/etc/bridge/secrets/%s/%s" . $.Values.store.postgresql.passwordKey | quote }}}
{{- end }}
{{- else }}
- {name: BRIDGE_DATABASE_URL, value: "sqlite:////data/bridge.db"}
{{- end }}
{{- with .Values.publicAdminUrl }}
- {name: BRIDGE_PUBLIC_ADMIN_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.drainSeconds }}
- {name: BRIDGE_DRAIN_SECONDS, value: {{ . | quote }}}
{{- end }}
- {name: BRIDGE_SHUTDOWN_SECONDS, value: {{ .Values.shutdownSeconds | quote }}}
- {name: BRIDGE_LOG_FORMAT, value: json}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $value := .Values.extraEnv }}
{{- if kindIs "map" $value }}
- {name: {{ $name }}, valueFrom: {{ $value.valueFrom | toJson }}}
{{- else }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- /* The names of every Secret that is mounted, as a JSON list: once each, in the order given. */ -}}
{{- define "bridge.secretNames" -}}
{{- $names := concat (default list .Values.secrets) (list .Values.adminToken.secret) -}}
{{- $names = concat $names (compact (list .Values.adminTls.secret .Values.operatorToken.secret .Values.viewerToken.secret .Values.metricsToken.secret .Values.outcomesToken.secret)) -}}
{{- if eq .Values.store.type "postgresql" -}}
{{- $names = concat $names (compact (list .Values.store.postgresql.passwordSecret .Values.store.postgresql.urlSecret)) -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{- define "bridge.secretVolume" -}}
secret-{{ . | replace "." "-" | trunc 48 }}-{{ . | sha256sum | trunc 6 }}
{{- end -}}

{{- /* Folders, never subPath: the kubelet changes a folder's content under a running pod. Mode 288 is 0440. */ -}}
{{- define "bridge.secretMounts" -}}
{{- range include "bridge.secretNames" . | fromJsonArray }}
- {name: {{ include "bridge.secretVolume" . }}, mountPath: /etc/bridge/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "bridge.secretVolumes" -}}
{{- range include "bridge.secretNames" . | fromJsonArray }}
- name: {{ include "bridge.secretVolume" . }}
  secret: {secretName: {{ . }}, defaultMode: 288}
{{- end }}
{{- end -}}

{{- /* Of every container of the chart's: what bridge.yaml names may lie there. */ -}}
{{- define "bridge.extraMounts" -}}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "bridge.extraVolumes" -}}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Every mapping file by its name. */ -}}
{{- define "bridge.mappingFiles" -}}
mapping.yaml: {{ .Values.mapping.routes | toYaml | nindent 2 | trim }}
{{- range $name, $text := .Values.mapping.files }}
{{ $name }}: {{ $text | toYaml | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "bridge.configMounts" -}}
- {name: config, mountPath: /etc/bridge/config, readOnly: true}
{{- if not .Values.mapping.folder }}
- {name: mapping, mountPath: /etc/bridge/mapping, readOnly: true}
{{- end }}
{{- end -}}

{{- /* The volumes of those two, of the ConfigMaps of these names. */ -}}
{{- define "bridge.configVolumes" -}}
- name: config
  configMap: {name: {{ .config }}, defaultMode: 288}
{{- with .mapping }}
- name: mapping
  configMap: {name: {{ . }}, defaultMode: 288}
{{- end }}
{{- end -}}

{{- /* The ConfigMaps of the running bridge; no mapping where it is read from a folder of another volume. */ -}}
{{- define "bridge.ownVolumes" -}}
{{- $mapping := empty .Values.mapping.folder | ternary (include "bridge.mappingConfigMap" .) "" -}}
{{- include "bridge.configVolumes" (dict "config" (include "bridge.configMap" .) "mapping" $mapping) -}}
{{- end -}}

{{- /* A sum of bridge.yaml, which is read at the start alone: another one restarts the pods. An existing ConfigMap is
     looked at where helm speaks to the cluster; elsewhere (helm template, Argo CD) `config.checksum` is the way. */ -}}
{{- define "bridge.configSum" -}}
{{- if .Values.config.checksum -}}
{{- .Values.config.checksum -}}
{{- else if .Values.config.existingConfigMap -}}
{{- with lookup "v1" "ConfigMap" .Release.Namespace .Values.config.existingConfigMap -}}
{{- get (default dict .data) "bridge.yaml" | sha256sum -}}
{{- end -}}
{{- else -}}
{{- .Values.config.bridge | sha256sum -}}
{{- end -}}
{{- end -}}

{{- define "bridge.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "bridge.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
