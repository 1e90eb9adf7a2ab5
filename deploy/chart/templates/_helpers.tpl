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

{{- /* What the restricted Pod Security Standard asks of a pod. 10001 is the image's user. */ -}}
{{- define "bridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Image, variables and limits that every container of the chart shares; only name, args and mounts differ. */ -}}
{{- define "bridge.container" -}}
image: {{ include "bridge.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "bridge.containerSecurity" . | nindent 2 }}
env:
  {{- include "bridge.env" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "bridge.env" -}}
- {name: BRIDGE_CONFIG, value: /etc/bridge/config/bridge.yaml}
- {name: BRIDGE_MAPPING, value: /etc/bridge/mapping}
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
{{- if eq .Values.store.type "postgresql" }}
- {name: BRIDGE_DATABASE_URL, value: {{ .Values.store.postgresql.url | quote }}}
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
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- /* The names of every Secret that is mounted, as a JSON list: once each, in the order given. */ -}}
{{- define "bridge.secretNames" -}}
{{- $names := concat (default list .Values.secrets) (list .Values.adminToken.secret) -}}
{{- $names = concat $names (compact (list .Values.operatorToken.secret .Values.viewerToken.secret .Values.metricsToken.secret .Values.outcomesToken.secret)) -}}
{{- if and (eq .Values.store.type "postgresql") .Values.store.postgresql.passwordSecret -}}
{{- $names = append $names .Values.store.postgresql.passwordSecret -}}
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

{{- /* Every mapping file by its name. */ -}}
{{- define "bridge.mappingFiles" -}}
mapping.yaml: {{ .Values.mapping.routes | toYaml | nindent 2 | trim }}
{{- range $name, $text := .Values.mapping.files }}
{{ $name }}: {{ $text | toYaml | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "bridge.configMounts" -}}
- {name: config, mountPath: /etc/bridge/config, readOnly: true}
- {name: mapping, mountPath: /etc/bridge/mapping, readOnly: true}
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
