{{- /* What cannot work is refused here, each with the next step. values.schema.json has refused unknown keys and wrong types. */ -}}
{{- define "bridge.refuse" -}}
{{- $v := .Values -}}
{{- $said := list -}}
{{- if eq $v.store.type "sqlite" -}}
  {{- if gt (int $v.replicas) 1 -}}
    {{- $said = append $said (printf "replicas: %d replicas cannot share one SQLite file; set store.type=postgresql and store.postgresql.url, or replicas=1" (int $v.replicas)) -}}
  {{- end -}}
  {{- if $v.autoscaling.enabled -}}
    {{- $said = append $said "autoscaling: needs more than one replica, and a SQLite file is served by one; set store.type=postgresql, or autoscaling.enabled=false" -}}
  {{- end -}}
{{- else -}}
  {{- if not (regexMatch "^postgres(ql)?://" $v.store.postgresql.url) -}}
    {{- $said = append $said "store.postgresql.url: give postgresql://user@host:5432/database" -}}
  {{- end -}}
  {{- if regexMatch "^[a-z]+://[^/@?]*:[^/@?]*@|[?&]password=" $v.store.postgresql.url -}}
    {{- $said = append $said "store.postgresql.url: take the password out; put it into a Secret and name that in store.postgresql.passwordSecret" -}}
  {{- end -}}
{{- end -}}
{{- if not $v.adminToken.secret -}}
  {{- $said = append $said "adminToken.secret: no secret for the admin listener; make one (kubectl create secret generic planasonix-bridge --from-literal=admin-token=...) and name it" -}}
{{- end -}}
{{- if not $v.secrets -}}
  {{- $said = append $said "secrets: no secret, so no webhook could be verified; name the Secrets that bridge.yaml refers to" -}}
{{- end -}}
{{- if not $v.config.existingConfigMap -}}
  {{- if not $v.config.bridge -}}
    {{- $said = append $said "config.bridge: empty; give bridge.yaml as text (--set-file config.bridge=bridge.yaml), or config.existingConfigMap" -}}
  {{- end -}}
  {{- if regexMatch "(?m)^[^#]*[{\\s]env:" $v.config.bridge -}}
    {{- $said = append $said "config.bridge: {env: ...} names a variable that no pod has; write {file: /etc/bridge/secrets/<secret>/<key>}" -}}
  {{- end -}}
  {{- range regexFindAll "/etc/bridge/secrets/[^/\\s}\"']+" $v.config.bridge -1 | uniq -}}
    {{- $name := trimPrefix "/etc/bridge/secrets/" . -}}
    {{- if and (not (has $name (default list $v.secrets))) (ne $name $v.adminToken.secret) -}}
      {{- $said = append $said (printf "config.bridge: the Secret %s is not mounted; add it to `secrets`" $name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (not $v.mapping.existingConfigMap) (not $v.mapping.routes) -}}
  {{- $said = append $said "mapping.routes: empty; give mapping.yaml as text (--set-file mapping.routes=mapping.yaml), or mapping.existingConfigMap" -}}
{{- end -}}
{{- $needed := add (int $v.preStopSeconds) (int $v.drainSeconds) (int $v.shutdownSeconds) -}}
{{- if le (int $v.terminationGracePeriodSeconds) (int $needed) -}}
  {{- $said = append $said (printf "terminationGracePeriodSeconds: %d is too short; preStopSeconds + drainSeconds + shutdownSeconds is %d, so give more than that" (int $v.terminationGracePeriodSeconds) (int $needed)) -}}
{{- end -}}
{{- if eq $v.image.tag "latest" -}}
  {{- $said = append $said "image.tag: latest can change under you; name a version, or image.digest" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
  {{- $said = append $said "ingress.host: give the name that Planasonix sends to, as in hooks.example.com" -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not (and $v.httpRoute.hostnames $v.httpRoute.parentRefs)) -}}
  {{- $said = append $said "httpRoute: give hostnames and parentRefs (the Gateway)" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
  {{- $said = append $said "autoscaling: minReplicas is larger than maxReplicas" -}}
{{- end -}}
{{- if eq (int $v.adminService.port) 8080 -}}
  {{- $said = append $said "adminService.port: 8080 is the public listener's; take another one" -}}
{{- end -}}
{{- range list "BRIDGE_CONFIG" "BRIDGE_MAPPING" "BRIDGE_HOST" "BRIDGE_PORT" "BRIDGE_ADMIN_HOST" "BRIDGE_ADMIN_PORT" "BRIDGE_ADMIN_TOKEN" "BRIDGE_ADMIN_TOKEN_FILE" "BRIDGE_OPERATOR_TOKEN" "BRIDGE_OPERATOR_TOKEN_FILE" "BRIDGE_VIEWER_TOKEN" "BRIDGE_VIEWER_TOKEN_FILE" "BRIDGE_METRICS_TOKEN" "BRIDGE_METRICS_TOKEN_FILE" "BRIDGE_OUTCOMES_TOKEN" "BRIDGE_OUTCOMES_TOKEN_FILE" "BRIDGE_PUBLIC_ADMIN_URL" "BRIDGE_PUBLIC_ADMIN_URL_FILE" "BRIDGE_DATABASE_URL" "BRIDGE_DATABASE_URL_FILE" "BRIDGE_DATABASE_PASSWORD_FILE" "BRIDGE_DRAIN_SECONDS" "BRIDGE_SHUTDOWN_SECONDS" "BRIDGE_LOG_FORMAT" -}}
  {{- if hasKey $v.settings . -}}
    {{- $said = append $said (printf "settings: %s is set by the chart; use the value made for it" .) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := $v.extraEnv -}}
  {{- if hasPrefix "BRIDGE_" $name -}}
    {{- $said = append $said (printf "extraEnv: %s belongs under `settings`" $name) -}}
  {{- end -}}
{{- end -}}
{{- if $said -}}
  {{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}
