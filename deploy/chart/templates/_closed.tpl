{{- /* What the network policy would silently close, although other values need it. It is judged only while all ways out are
     the chart's own: what else a list opens, host names do not tell, and each list opens its way for every host. */ -}}
{{- define "bridge.closed" -}}
{{- $v := .Values -}}
{{- $np := $v.networkPolicy -}}
{{- $said := list -}}
{{- if $np.enabled -}}
  {{- $isShared := eq $v.store.type "postgresql" -}}
  {{- $opened := include "bridge.namespacesOf" $np.airflow.to | fromJsonArray -}}
  {{- if $isShared -}}
    {{- $opened = concat $opened (include "bridge.namespacesOf" $np.postgresql.to | fromJsonArray) -}}
  {{- end -}}
  {{- if and (not $np.planasonix.enabled) (eq (join "," $opened) ($isShared | ternary "airflow,postgresql" "airflow")) -}}
    {{- $config := include "bridge.config" . | fromYaml -}}
    {{- $isProxied := not (empty $v.envFrom) -}}
    {{- range list "HTTPS_PROXY" "https_proxy" "HTTP_PROXY" "http_proxy" "ALL_PROXY" "all_proxy" -}}
      {{- $isProxied = or $isProxied (hasKey $v.extraEnv .) -}}
    {{- end -}}
    {{- if not $isProxied -}}
      {{- range $name, $airflow := include "bridge.mapOf" (list $config "airflow") | fromYaml -}}
        {{- if and (kindIs "map" $airflow) (not (get $airflow "proxy")) -}}
          {{- $said = append $said (include "bridge.unreached" (list $ $opened "airflow" (get $airflow "url") (printf "airflow.%s.url in config.bridge" $name))) -}}
        {{- end -}}
      {{- end -}}
      {{- with include "bridge.asksOutside" $config | fromJsonArray -}}
        {{- $said = append $said (printf "networkPolicy.planasonix.enabled: false keeps the bridge from what config.bridge names: %s. true opens port 443 of the internet; a mail server's port goes into networkPolicy.planasonix.ports, a place in a private network into networkPolicy.planasonix.to" (join ", " .)) -}}
      {{- end -}}
    {{- end -}}
    {{- if $isShared -}}
      {{- $said = append $said (include "bridge.unreached" (list . $opened "postgresql" $v.store.postgresql.url "store.postgresql.url")) -}}
    {{- end -}}
  {{- end -}}
  {{- if eq (join "," (include "bridge.namespacesOf" $np.ingressControllers | fromJsonArray)) "ingress-nginx" -}}
    {{- if not (or (eq $v.service.type "ClusterIP") $v.ingress.enabled $v.httpRoute.enabled) -}}
      {{- $said = append $said (printf "networkPolicy.ingressControllers: only the namespace ingress-nginx reaches the public listener, and service.type=%s lets in what is outside the cluster; name its networks, as in [{ipBlock: {cidr: 0.0.0.0/0}}]" $v.service.type) -}}
    {{- end -}}
    {{- if and $v.httpRoute.enabled (not $v.ingress.enabled) -}}
      {{- $said = append $said "networkPolicy.ingressControllers: only the namespace ingress-nginx reaches the public listener; name the one in which the pods of your Gateway run, as in [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: envoy-gateway-system}}}]" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- compact $said | toJson -}}
{{- end -}}

{{- /* What keeps the pods from the hosts of a URL, while these namespaces alone are open.
     (root, namespaces, the way: airflow or postgresql, URL, where the URL stands) */ -}}
{{- define "bridge.unreached" -}}
{{- $root := index . 0 -}}
{{- $opened := index . 1 -}}
{{- $way := index . 2 -}}
{{- $url := toString (index . 3) -}}
{{- $place := index . 4 -}}
{{- $said := list -}}
{{- range splitList "," (regexReplaceAll "^.*[/@]" (regexFind "^[a-z]+://([^/?#]*@)?[^/?#]+" $url) "") -}}
  {{- $host := trimSuffix (regexFind ":[0-9]+$" .) . | trimSuffix "." -}}
  {{- $namespace := regexFind "[^.]+\\.svc(\\.|$)" $host | trimSuffix "." | trimSuffix ".svc" -}}
  {{- if not (contains "." $host | or (hasPrefix "[" $host)) -}}
    {{- $namespace = $root.Release.Namespace -}}
  {{- end -}}
  {{- /* `service.namespace` is a name in the cluster, and looks like example.com. */ -}}
  {{- $short := regexFind "^[^.]+\\.[^.]+$" $host | regexFind "[^.]+$" -}}
  {{- $isPod := or (empty $host) (regexMatch "^localhost$|^127\\.|^\\[::1\\]$" $host) -}}
  {{- if not (or $isPod (has (default $short $namespace) $opened)) -}}
    {{- $peer := empty $namespace | ternary "its address, as in [{ipBlock: {cidr: 203.0.113.7/32}}], and its port in `ports`" (printf "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}]" $namespace) -}}
    {{- $said = append $said (printf "networkPolicy.%s.to: only the namespace %s is open, and %s (%s) is elsewhere; name %s" $way $way $host $place $peer) -}}
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
