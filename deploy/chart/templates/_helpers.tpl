{{- define "readiness.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "readiness.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "readiness.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "readiness.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "readiness.selectorLabels" -}}
app.kubernetes.io/name: {{ include "readiness.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "readiness.labels" -}}
{{ include "readiness.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "readiness.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "readiness.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* No default in values.yaml: helm would merge it into what the user writes. */ -}}
{{- define "readiness.config" -}}
{{- if .Values.config -}}
{{- toYaml .Values.config -}}
{{- else -}}
checklists:
  - name: estate
clusters:
  - name: local
    in_cluster: true
collectors:
  kubernetes: {}
{{- end -}}
{{- end -}}

{{- /* The path before all paths of the exporter, as it has it itself: nothing, or /a/b. */ -}}
{{- define "readiness.routePrefix" -}}
{{- $own := .Values.web.routePrefix -}}
{{- if and (not $own) .Values.web.externalUrl -}}{{- $own = (urlParse .Values.web.externalUrl).path -}}{{- end -}}
{{- with trimAll "/" $own }}/{{ . }}{{ end -}}
{{- end -}}

{{- /* What links to the exporter begin with. */ -}}
{{- define "readiness.home" -}}
{{- trimSuffix "/" .Values.web.externalUrl -}}
{{- end -}}

{{- /* Whether a file of rules or boards is to be installed: those of a shipped checklist only where the configuration names
it, and those of the workshop also where it names no shipped one, as the program does. Takes the root and a path. */ -}}
{{- define "readiness.hasData" -}}
{{- $root := index . 0 -}}
{{- $shipped := list "workshop" "estate" -}}
{{- $named := list -}}
{{- range (include "readiness.config" $root | fromYaml).checklists -}}
{{- if has .name $shipped -}}
{{- $named = append $named .name -}}
{{- end -}}
{{- end -}}
{{- $own := base (index . 1) | trimSuffix ".json" | trimSuffix ".yaml" | trimSuffix "-overview" -}}
{{- if or (not (has $own $shipped)) (has $own (default (list "workshop") $named)) -}}true{{- end -}}
{{- end -}}

{{- define "readiness.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}
