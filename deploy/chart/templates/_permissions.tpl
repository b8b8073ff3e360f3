{{- /*
What the configuration makes the exporter ask of the cluster that it runs in, as JSON:
{"namespace or empty": [rule, ...]}. The same as `readiness-exporter config rbac` prints, which a
test holds against it.
*/ -}}
{{- define "readiness.permissions" -}}
{{- $config := include "readiness.config" . | fromYaml -}}
{{- $scopes := dict "" (list) -}}
{{- $own := "" -}}
{{- range $config.clusters }}{{ if .in_cluster }}{{ $own = .name }}{{ end }}{{ end -}}
{{- $collectors := default (dict) $config.collectors -}}
{{- if and $own (hasKey $collectors "kubernetes") -}}
{{- $k := default (dict) $collectors.kubernetes -}}
{{- $add := list -}}
{{- $watch := list "list" "watch" -}}
{{- range tuple (list "nodes" "" "nodes") (list "pods" "" "pods") (list "events" "" "events") (list "quotas" "" "resourcequotas") (list "quotas" "" "limitranges") (list "storage_classes" "storage.k8s.io" "storageclasses") (list "ingress_classes" "networking.k8s.io" "ingressclasses") -}}
{{- if get $k (index . 0) | toString | ne "false" }}{{ $add = append $add (list "" (index . 1) (index . 2) $watch (list)) }}{{ end -}}
{{- end -}}
{{- $nodes := ne (toString $k.nodes) "false" -}}
{{- $usage := and $nodes (ne (toString (default (dict) $k.usage).enabled) "false") -}}
{{- if $nodes -}}
{{- $via := default "kubelet" (default (dict) $k.storage).via -}}
{{- if eq (toString $via) "kubelet" }}{{ $add = append $add (list "" "" "nodes/stats" (list "get") (list)) }}{{ end -}}
{{- if eq (toString $via) "node_proxy" }}{{ $add = append $add (list "" "" "nodes/proxy" (list "get") (list)) }}{{ end -}}
{{- end -}}
{{- if $usage }}{{ $add = append $add (list "" "metrics.k8s.io" "nodes" (list "get" "list") (list)) }}{{ end -}}
{{- range tuple (list "karpenter" "karpenter.sh" "nodepools") (list "karpenter" "karpenter.sh" "nodeclaims") (list "gpu_operator" "nvidia.com" "clusterpolicies") (list "prometheus" "monitoring.coreos.com" "prometheuses") (list "cert_manager" "cert-manager.io" "certificates") (list "capacity" "" "namespaces") -}}
{{- $name := index . 0 -}}
{{- if hasKey $k $name -}}
{{- $part := default (dict) (get $k $name) -}}
{{- if or (empty $part.clusters) (has $own $part.clusters) }}{{ $add = append $add (list "" (index . 1) (index . 2) $watch (list)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $k.karpenter }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- if eq (toString .node_classes) "eks" }}{{ $add = append $add (list "" "eks.amazonaws.com" "nodeclasses" $watch (list)) }}{{ else }}{{ $add = append $add (list "" "karpenter.k8s.aws" "ec2nodeclasses" $watch (list)) }}{{ end -}}
{{- end }}{{ end -}}
{{- with $k.backups }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- with .velero }}{{ $ns := . }}{{ range tuple "backups" "schedules" "backupstoragelocations" }}{{ $add = append $add (list $ns "velero.io" . $watch (list)) }}{{ end }}{{ end -}}
{{- range .volume_snapshots }}{{ $add = append $add (list . "" "persistentvolumeclaims" $watch (list)) }}{{ $add = append $add (list . "snapshot.storage.k8s.io" "volumesnapshots" $watch (list)) }}{{ end -}}
{{- end }}{{ end -}}
{{- range $k.workloads }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- $resource := get (dict "Deployment" "deployments" "StatefulSet" "statefulsets" "DaemonSet" "daemonsets" "CronJob" "cronjobs") .kind -}}
{{- $add = append $add (list .namespace (ternary "batch" "apps" (eq .kind "CronJob")) $resource $watch (list)) -}}
{{- if eq .kind "Deployment" }}{{ $add = append $add (list .namespace "apps" "replicasets" $watch (list)) }}{{ end -}}
{{- if ne .kind "CronJob" -}}
{{- $add = append $add (list .namespace "" "pods" (list "get" "list") (list)) -}}
{{- if $usage }}{{ $add = append $add (list .namespace "metrics.k8s.io" "pods" (list "get" "list") (list)) }}{{ end -}}
{{- end -}}
{{- end }}{{ end -}}
{{- range $k.services }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- $add = append $add (list .namespace "" "services" $watch (list)) -}}
{{- $add = append $add (list .namespace "discovery.k8s.io" "endpointslices" $watch (list)) -}}
{{- end }}{{ end -}}
{{- range $k.access }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- $add = append $add (list "" "authorization.k8s.io" (ternary "subjectaccessreviews" "selfsubjectaccessreviews" (hasKey . "subject")) (list "create") (list)) -}}
{{- end }}{{ end -}}
{{- range $k.objects }}{{ if or (empty .clusters) (has $own .clusters) -}}
{{- $version := default "v1" .api_version -}}
{{- $group := ternary (first (splitList "/" $version)) "" (contains "/" $version) -}}
{{- $add = append $add (list (default "" .namespace) $group .resource (list "get") (list .name)) -}}
{{- end }}{{ end -}}
{{- range $add }}{{ include "readiness.permit" (dict "scopes" $scopes "one" .) }}{{ end -}}
{{- end -}}
{{- if $own -}}
{{- range (default (dict) $collectors.registry).pull_secrets }}{{ if eq .cluster $own }}{{ include "readiness.permit" (dict "scopes" $scopes "one" (list .namespace "" "secrets" (list "get") (list .name))) }}{{ end }}{{ end -}}
{{- range (default (dict) $collectors.credentials).credentials -}}
{{- with .from }}{{ with .secret }}{{ if eq .cluster $own }}{{ include "readiness.permit" (dict "scopes" $scopes "one" (list .namespace "" "secrets" (list "get") (list .name))) }}{{ end }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range .Values.rbac.extraRules }}{{ $_ := set $scopes "" (append (get $scopes "") .) }}{{ end -}}
{{- toJson $scopes -}}
{{- end -}}

{{- define "readiness.permit" -}}
{{- $rule := dict "apiGroups" (list (index .one 1)) "resources" (list (index .one 2)) "verbs" (index .one 3) -}}
{{- with index .one 4 }}{{ $_ := set $rule "resourceNames" . }}{{ end -}}
{{- $scope := index .one 0 -}}
{{- $rules := default (list) (get .scopes $scope) -}}
{{- if not (has $rule $rules) }}{{ $_ := set .scopes $scope (append $rules $rule) }}{{ end -}}
{{- end -}}
