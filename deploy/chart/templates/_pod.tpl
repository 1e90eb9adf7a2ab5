{{- /* The pod of the Deployment and of the StatefulSet: the same but for where /data is. */ -}}
{{- define "bridge.pod" -}}
metadata:
  labels:
    {{- include "bridge.podLabels" (list . "bridge") | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: bridge
    {{- with include "bridge.configSum" . }}
    # The mapping is not summed up here, for it is re-read while running.
    checksum/config: {{ . | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "bridge.serviceAccount" . }}
  automountServiceAccountToken: false
  # A Service named `bridge` would otherwise put BRIDGE_PORT=tcp://... into every pod.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "bridge.given" .Values.podSecurityContext | nindent 4 }}
  {{- with include "bridge.pullSecrets" . }}
  {{- trim . | nindent 2 }}
  {{- end }}
  {{- $isChecked := and .Values.check.enabled (not .Values.hooks.enabled) }}
  {{- if or .Values.initContainers $isChecked .Values.migration.enabled }}
  initContainers:
    {{- with .Values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if $isChecked }}
    # What the hook would ask. A broken mapping is only said: webhooks are taken in without one, and must be.
    - name: check
      args: [check, --at-start{{ if .Values.check.airflow }}, --airflow{{ end }}]
      {{- include "bridge.container" . | nindent 6 }}
      volumeMounts:
        {{- include "bridge.configMounts" . | trim | nindent 8 }}
        {{- include "bridge.secretMounts" . | trim | nindent 8 }}
        {{- with include "bridge.extraMounts" . }}
        {{- trim . | nindent 8 }}
        {{- end }}
    {{- end }}
    {{- if .Values.migration.enabled }}
    # Before `serve`, whose startup probe would end a long migration, again and again. Pods that start together take turns
    # on PostgreSQL; whoever comes second finds nothing left to do.
    - name: migrate
      args: [migrate]
      {{- include "bridge.container" . | nindent 6 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        {{- include "bridge.secretMounts" . | trim | nindent 8 }}
        {{- with include "bridge.extraMounts" . }}
        {{- trim . | nindent 8 }}
        {{- end }}
    {{- end }}
  {{- end }}
  containers:
    - name: bridge
      args: [serve]
      {{- include "bridge.container" . | nindent 6 }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: admin, containerPort: {{ .Values.adminService.port }}}
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        # A check of the store may take 5 seconds before it says no.
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 6
        failureThreshold: 2
      {{- with .Values.preStopSeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      volumeMounts:
        - {name: data, mountPath: /data}
        {{- include "bridge.configMounts" . | trim | nindent 8 }}
        {{- include "bridge.secretMounts" . | trim | nindent 8 }}
        {{- with include "bridge.extraMounts" . }}
        {{- trim . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "bridge.ownVolumes" . | nindent 4 }}
    {{- include "bridge.secretVolumes" . | trim | nindent 4 }}
    {{- with include "bridge.extraVolumes" . }}
    {{- trim . | nindent 4 }}
    {{- end }}
    {{- if eq .Values.store.type "postgresql" }}
    - name: data
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
  {{- if .Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "bridge.selector" $ | nindent 10 }}
          app.kubernetes.io/component: bridge
    {{- end }}
  {{- end }}
  {{- with include "bridge.placement" . }}
  {{- trim . | nindent 2 }}
  {{- end }}
{{- end -}}
