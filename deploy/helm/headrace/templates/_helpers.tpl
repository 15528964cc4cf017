{{- define "headrace.name" -}}
{{- if contains "headrace" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-headrace" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "headrace.selector" -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "headrace.labels" -}}
{{ include "headrace.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "headrace.image" -}}
{{- $image := .root.Values.image }}
{{- if and $image.digest (not .tag) }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ .tag | default $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "headrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "headrace.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "headrace.databaseUrl" -}}
- name: HEADRACE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "database.secret: name the Secret with the URL of PostgreSQL" .Values.database.secret }}
      key: {{ .Values.database.key }}
- name: HEADRACE_LOG_FORMAT
  value: json
{{- end }}

{{- define "headrace.environment" -}}
{{ include "headrace.databaseUrl" . }}
- name: HEADRACE_ENGINE
  value: {{ .Values.engine }}
- name: HEADRACE_STACK_URL
  value: {{ required "stack.url: name the root of the ledger, wallets and payments services" .Values.stack.url | quote }}
{{- with .Values.stack.credentials }}
{{- if .secret }}
- name: HEADRACE_STACK_CLIENT_ID
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .idKey }}}
- name: HEADRACE_STACK_CLIENT_SECRET
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .secretKey }}}
{{- end }}
{{- end }}
{{- if eq .Values.engine "temporal" }}
{{- with .Values.temporal }}
- name: HEADRACE_TEMPORAL_ADDRESS
  value: {{ required "temporal.address: name host and port of Temporal's frontend" .address | quote }}
- name: HEADRACE_TEMPORAL_NAMESPACE
  value: {{ .namespace | quote }}
- name: HEADRACE_TEMPORAL_TASK_QUEUE
  value: {{ .taskQueue | quote }}
- name: HEADRACE_TEMPORAL_TLS
  value: {{ or .tls (not (empty .apiKey.secret)) (not (empty .certificates.secret)) | quote }}
{{- if .apiKey.secret }}
- name: HEADRACE_TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ .apiKey.secret }}, key: {{ .apiKey.key }}}
{{- end }}
{{- if .certificates.secret }}
- name: HEADRACE_TEMPORAL_CA
  value: /etc/headrace/temporal/ca.crt
{{- if .certificates.client }}
- name: HEADRACE_TEMPORAL_CERT
  value: /etc/headrace/temporal/tls.crt
- name: HEADRACE_TEMPORAL_KEY
  value: /etc/headrace/temporal/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range $name, $source := .Values.secretSettings }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $source.secret }}, key: {{ $source.key }}}
{{- end }}
{{- end }}

{{- define "headrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "headrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "headrace.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: data
  mountPath: /data
{{- if and (eq .Values.engine "temporal") .Values.temporal.certificates.secret }}
- name: temporal-certificates
  mountPath: /etc/headrace/temporal
  readOnly: true
{{- end }}
{{- end }}

{{- define "headrace.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: data
  emptyDir: {sizeLimit: 64Mi}
{{- if and (eq .Values.engine "temporal") .Values.temporal.certificates.secret }}
- name: temporal-certificates
  secret:
    secretName: {{ .Values.temporal.certificates.secret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- define "headrace.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  timeoutSeconds: 6
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 6
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 6
  failureThreshold: 2
{{- end }}

{{- define "headrace.placement" -}}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "headrace.selector" . | nindent 8 }}
{{- end }}
