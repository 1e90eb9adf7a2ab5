{{- /* What cannot work is refused here, each with the next step. values.schema.json has refused unknown keys and wrong types. */ -}}
{{- define "bridge.refuse" -}}
{{- $v := .Values -}}
{{- $said := list -}}
{{- if eq $v.store.type "sqlite" -}}
  {{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (include "bridge.fullname" .) -}}
    {{- $name := .metadata.name -}}
    {{- range dig "spec" "volumeClaimTemplates" list . -}}
      {{- $size := dig "spec" "resources" "requests" "storage" "" . -}}
      {{- if and (eq .metadata.name "data") $size (ne $size (toString $v.store.sqlite.size)) -}}
        {{- $said = append $said (printf "store.sqlite.size: the volume was made with %s, and a StatefulSet never changes it. Enlarge the claim, then let helm make the StatefulSet anew around the running pod:\n      kubectl -n %s patch pvc data-%s-0 -p '{\"spec\": {\"resources\": {\"requests\": {\"storage\": \"%s\"}}}}'\n      kubectl -n %s delete statefulset %s --cascade=orphan" $size $.Release.Namespace $name (toString $v.store.sqlite.size) $.Release.Namespace $name) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if gt (int $v.replicas) 1 -}}
    {{- $said = append $said (printf "replicas: %d replicas cannot share one SQLite file; set store.type=postgresql and store.postgresql.url, or replicas=1" (int $v.replicas)) -}}
  {{- end -}}
  {{- if $v.autoscaling.enabled -}}
    {{- $said = append $said "autoscaling: needs more than one replica, and a SQLite file is served by one; set store.type=postgresql, or autoscaling.enabled=false" -}}
  {{- end -}}
{{- else -}}
  {{- if and $v.store.postgresql.urlSecret (or $v.store.postgresql.url $v.store.postgresql.passwordSecret) -}}
    {{- $said = append $said "store.postgresql.urlSecret: holds the whole URL with its password; take url and passwordSecret away" -}}
  {{- else if not (or $v.store.postgresql.urlSecret (regexMatch "^postgres(ql)?://" $v.store.postgresql.url)) -}}
    {{- $said = append $said "store.postgresql.url: give postgresql://user@host:5432/database, or store.postgresql.urlSecret" -}}
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
  {{- if not $v.envFrom -}}
    {{- range regexFindAll "(?m)^[^#\n]*[{\\s]env:\\s*[A-Za-z0-9_]+" $v.config.bridge -1 -}}
      {{- if not (hasKey $v.extraEnv (regexFind "[A-Za-z0-9_]+$" .)) -}}
        {{- $said = append $said "config.bridge: {env: ...} names a variable that no pod has; write {file: /etc/bridge/secrets/<secret>/<key>}, or give it in extraEnv or envFrom" -}}
      {{- end -}}
    {{- end -}}
    {{- $said = uniq $said -}}
  {{- end -}}
  {{- range regexFindAll "/etc/bridge/secrets/[^/\\s}\"']+" $v.config.bridge -1 | uniq -}}
    {{- $name := trimPrefix "/etc/bridge/secrets/" . -}}
    {{- $isMounted := or (has $name (default list $v.secrets)) (eq $name $v.adminToken.secret) -}}
    {{- range $v.extraVolumeMounts -}}
      {{- $isMounted = or $isMounted (eq .mountPath (printf "/etc/bridge/secrets/%s" $name)) (eq .mountPath "/etc/bridge/secrets") -}}
    {{- end -}}
    {{- if not $isMounted -}}
      {{- $said = append $said (printf "config.bridge: the Secret %s is not mounted; add it to `secrets`" $name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and $v.mapping.folder $v.mapping.existingConfigMap -}}
  {{- $said = append $said "mapping.folder: the mapping is there already; take mapping.existingConfigMap away" -}}
{{- end -}}
{{- if and $v.mapping.folder (not $v.extraVolumeMounts) -}}
  {{- $said = append $said "mapping.folder: no volume is mounted there; name it in extraVolumes and extraVolumeMounts" -}}
{{- end -}}
{{- $inline := add (len $v.mapping.routes) (len (toJson $v.mapping.files)) -}}
{{- if gt $inline 1000000 -}}
  {{- $said = append $said (printf "mapping.routes: %d bytes are more than a ConfigMap may hold (1 MiB); give several ConfigMaps in extraVolumes, or mapping.folder with git-sync (docs/kubernetes.md)" $inline) -}}
{{- end -}}
{{- if and (not (or $v.mapping.existingConfigMap $v.mapping.folder)) (not $v.mapping.routes) -}}
  {{- $said = append $said "mapping.routes: empty; give mapping.yaml as text (--set-file mapping.routes=mapping.yaml), or mapping.existingConfigMap" -}}
{{- end -}}
{{- $needed := add (int $v.preStopSeconds) (int $v.drainSeconds) (int $v.shutdownSeconds) -}}
{{- if le (int $v.terminationGracePeriodSeconds) (int $needed) -}}
  {{- $said = append $said (printf "terminationGracePeriodSeconds: %d is too short; preStopSeconds + drainSeconds + shutdownSeconds is %d, so give more than that" (int $v.terminationGracePeriodSeconds) (int $needed)) -}}
{{- end -}}
{{- if eq $v.image.tag "latest" -}}
  {{- $said = append $said "image.tag: latest can change under you; name a version, or image.digest" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not (or $v.ingress.host $v.ingress.hosts)) -}}
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
{{- $said = concat $said (include "bridge.closed" . | fromJsonArray) -}}
{{- if $said -}}
  {{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}
