{{- /* What the network policy would silently close, although other values need it. A policy knows addresses and labels and no
     host names. So a list is judged only if it is one of namespaces: nothing outside the cluster is in any of them. */ -}}
{{- define "bridge.closed" -}}
{{- $v := .Values -}}
{{- $np := $v.networkPolicy -}}
{{- $said := list -}}
{{- if $np.enabled -}}
  {{- $config := include "bridge.config" . | fromYaml -}}
  {{- /* A proxy has an address of its own, which only `airflow` can name. */ -}}
  {{- $isProxied := not (empty $v.envFrom) -}}
  {{- range list "HTTPS_PROXY" "https_proxy" "HTTP_PROXY" "http_proxy" "ALL_PROXY" "all_proxy" -}}
    {{- $isProxied = or $isProxied (hasKey $v.extraEnv .) -}}
  {{- end -}}
  {{- if not $isProxied -}}
    {{- range $name, $airflow := include "bridge.mapOf" (list $config "airflow") | fromYaml -}}
      {{- if and (kindIs "map" $airflow) (not (get $airflow "proxy")) -}}
        {{- $said = append $said (include "bridge.unreached" (list $ "airflow" (get $airflow "url") (printf "airflow.%s.url in config.bridge" $name))) -}}
      {{- end -}}
    {{- end -}}
    {{- with include "bridge.asksOutside" $config | fromJsonArray -}}
      {{- if not (or $np.planasonix.enabled (contains "0.0.0.0/0" (toJson $np.airflow.to))) -}}
        {{- $said = append $said (printf "networkPolicy.planasonix.enabled: false keeps the bridge from what config.bridge names: %s. true opens port 443 of the internet; a mail server's port goes into networkPolicy.planasonix.ports, a place in a private network into networkPolicy.planasonix.to" (join ", " .)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if eq $v.store.type "postgresql" -}}
    {{- $said = append $said (include "bridge.unreached" (list . "postgresql" $v.store.postgresql.url "store.postgresql.url")) -}}
  {{- end -}}
  {{- with include "bridge.namespacesOf" $np.ingressControllers | fromJsonArray -}}
    {{- if ne $v.service.type "ClusterIP" -}}
      {{- $said = append $said (printf "networkPolicy.ingressControllers: only the namespace %s reaches the public listener, and service.type=%s lets in what is outside the cluster; name its networks, as in [{ipBlock: {cidr: 0.0.0.0/0}}]" (join ", " .) $v.service.type) -}}
    {{- end -}}
    {{- if and $v.httpRoute.enabled (eq (join "," .) "ingress-nginx") -}}
      {{- $said = append $said "networkPolicy.ingressControllers: only the namespace ingress-nginx reaches the public listener; name the one in which the pods of your Gateway run, as in [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: envoy-gateway-system}}}]" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- compact $said | toJson -}}
{{- end -}}

{{- /* What keeps the pods from the hosts of a URL; nothing where the policy may let them through.
     (root, the way: airflow or postgresql, URL, where the URL stands) */ -}}
{{- define "bridge.unreached" -}}
{{- $root := index . 0 -}}
{{- $key := printf "networkPolicy.%s" (index . 1) -}}
{{- $way := get $root.Values.networkPolicy (index . 1) -}}
{{- $url := toString (index . 2) -}}
{{- $place := index . 3 -}}
{{- $opened := include "bridge.namespacesOf" $way.to | fromJsonArray -}}
{{- $usual := get (dict "http" "80" "https" "443") (regexFind "^[a-z]+" $url) | default "5432" -}}
{{- $said := list -}}
{{- range splitList "," (regexReplaceAll "^.*[/@]" (regexFind "^[a-z]+://([^/?#]*@)?[^/?#]+" $url) "") -}}
  {{- $port := regexFind ":[0-9]+$" . -}}
  {{- $host := trimSuffix $port . | trimSuffix "." -}}
  {{- $port = trimPrefix ":" $port | default $usual -}}
  {{- $namespace := regexFind "[^.]+\\.svc(\\.|$)" $host | trimSuffix "." | trimSuffix ".svc" -}}
  {{- if not (contains "." $host | or (hasPrefix "[" $host)) -}}
    {{- $namespace = $root.Release.Namespace -}}
  {{- end -}}
  {{- /* `service.namespace` is a name in the cluster, and looks like example.com. */ -}}
  {{- $short := regexFind "^[^.]+\\.[^.]+$" $host | regexFind "[^.]+$" -}}
  {{- $isPod := or (empty $host) (regexMatch "^localhost$|^127\\.|^\\[::1\\]$" $host) -}}
  {{- if and $opened (not $isPod) (not (has (default $short $namespace) $opened)) -}}
    {{- $peer := empty $namespace | ternary "its address, as in [{ipBlock: {cidr: 203.0.113.7/32}}]" (printf "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}]" $namespace) -}}
    {{- $said = append $said (printf "%s.to: only the namespace %s is open, and %s (%s) is elsewhere; name %s" $key (join ", " $opened) $host $place $peer) -}}
  {{- end -}}
  {{- if and $way.to (not (or $isPod $namespace $short)) (not (has $port (splitList "," (join "," $way.ports)))) -}}
    {{- $said = append $said (printf "%s.ports: %s (%s) listens on %s, which is not among them; add it" $key $host $place $port) -}}
  {{- end -}}
{{- end -}}
{{- join "\n  - " $said -}}
{{- end -}}

{{- /* The keys of bridge.yaml for which the bridge asks something beside Airflow, as a JSON list. */ -}}
{{- define "bridge.asksOutside" -}}
{{- $found := list -}}
{{- range $name, $source := include "bridge.mapOf" (list . "sources") | fromYaml -}}
  {{- range list "api" "jwks" -}}
    {{- if contains (printf "%q:" .) (toJson $source) -}}
      {{- $found = append $found (printf "%s of the source %s" . $name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range list "notify" "sign_in" -}}
  {{- if get $ . -}}
    {{- $found = append $found . -}}
  {{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* The namespaces of a list of peers, as a JSON list; empty if a peer is anything but a namespace by its name. */ -}}
{{- define "bridge.namespacesOf" -}}
{{- $names := list -}}
{{- range . -}}
  {{- $names = append $names (dig "namespaceSelector" "matchLabels" "kubernetes.io/metadata.name" "" .) -}}
{{- end -}}
{{- has "" $names | ternary list $names | toJson -}}
{{- end -}}
