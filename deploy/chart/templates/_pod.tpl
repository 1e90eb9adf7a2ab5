{{- /* The pod of the Deployment and of the StatefulSet: the same but for where /data is. */ -}}
{{- define "bridge.pod" -}}
metadata:
  labels:
    {{- include "bridge.labels" . | nindent 4 }}
    app.kubernetes.io/component: bridge
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: bridge
    {{- if not .Values.config.existingConfigMap }}
    # bridge.yaml is read at the start alone; the mapping is not summed up here, for it is re-read while running.
    checksum/config: {{ .Values.config.bridge | sha256sum }}
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
    {{- include "bridge.podSecurity" . | nindent 4 }}
  {{- with include "bridge.pullSecrets" . }}
  {{- trim . | nindent 2 }}
  {{- end }}
  {{- if .Values.migration.enabled }}
  initContainers:
    # Pods that start together take turns on PostgreSQL; whoever comes second finds nothing left to do.
    - name: migrate
      args: [migrate]
      {{- include "bridge.container" . | nindent 6 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        {{- include "bridge.secretMounts" . | trim | nindent 8 }}
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
  volumes:
    - name: config
      configMap: {name: {{ include "bridge.configMap" . }}, defaultMode: 288}
    - name: mapping
      configMap: {name: {{ include "bridge.mappingConfigMap" . }}, defaultMode: 288}
    {{- include "bridge.secretVolumes" . | trim | nindent 4 }}
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
