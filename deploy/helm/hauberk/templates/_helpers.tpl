{{- define "hauberk.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hauberk.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "hauberk.labels" -}}
{{ include "hauberk.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "hauberk.configMap" -}}
{{- default (include "hauberk.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "hauberk.image" -}}
{{- $repository := required "image.repository is missing; want the image of the sidecar, such as registry.example/hauberk" .Values.image.repository -}}
{{- if .Values.image.digest -}}{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{- end -}}
{{- end -}}

{{/* The sidecar: an init container that runs as long as the pod. Charts of services include it and hauberk.volumes. */}}
{{- define "hauberk.sidecar" -}}
name: hauberk
image: {{ include "hauberk.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
restartPolicy: Always
args: [run, -c, /etc/hauberk/policy.yaml]
ports:
  - {name: grpc, containerPort: {{ .Values.ports.grpc }}, protocol: TCP}
  - {name: telemetry, containerPort: {{ .Values.ports.telemetry }}, protocol: TCP}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  httpGet: {path: /healthz, port: telemetry}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: telemetry}
  periodSeconds: 10
readinessProbe:
  httpGet: {path: /readyz, port: telemetry}
  periodSeconds: 5
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts: # folders, not single files: Kubernetes does not update those
  - {name: hauberk-policy, mountPath: /etc/hauberk, readOnly: true}
  {{- range .Values.secrets }}
  - {name: {{ printf "hauberk-%s" .name | trunc 63 | trimSuffix "-" | quote }}, mountPath: {{ .mountPath | quote }}, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "hauberk.volumes" -}}
- name: hauberk-policy
  configMap: {name: {{ include "hauberk.configMap" . | quote }}}
{{- range .Values.secrets }}
- name: {{ printf "hauberk-%s" .name | trunc 63 | trimSuffix "-" | quote }}
  secret: {secretName: {{ .name | quote }}, defaultMode: 0444}
{{- end }}
{{- end -}}
