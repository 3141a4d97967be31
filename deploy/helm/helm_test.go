// Package helm_test lints and renders the Helm chart.
package helm_test

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy"
)

const chart = "hauberk"

// least are the values that have no default.
const least = `
image: {repository: registry.example/hauberk}
application: {image: registry.example/shop:1}
`

// values returns the least values with further ones.
func values(t *testing.T, more string) map[string]any {
	t.Helper()
	var all, further map[string]any
	if err := yaml.UnmarshalStrict([]byte(least), &all); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(more), &further); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, further)
	return all
}

// render returns the content of each file of the chart, "deployment.yaml", for values.
func render(t *testing.T, given map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.LoadDir(chart)
	if err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "shop", Namespace: "default", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for name, content := range rendered {
		if strings.TrimSpace(content) != "" && strings.HasSuffix(name, ".yaml") {
			files[filepath.Base(name)] = content
		}
	}
	return files, nil
}

// decode decodes a rendered file, with unknown fields as errors.
func decode[T any](t *testing.T, files map[string]string, name string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(files[name]), object); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, files[name])
	}
	return object
}

// TestLint: the linter of Helm finds nothing.
func TestLint(t *testing.T) {
	for _, m := range lint.RunAll(chart, values(t, ""), "default").Messages {
		t.Error(m)
	}
}

// TestRender: the least values give a service, a policy, and pods whose sidecar starts before the service
// and ends after it.
func TestRender(t *testing.T) {
	files, err := render(t, values(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"configmap.yaml", "deployment.yaml", "service.yaml"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, names) {
		t.Errorf("the chart renders %q", got)
	}
	deployment := decode[appsv1.Deployment](t, files, "deployment.yaml")
	pod := deployment.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("the pod has %d init containers and %d containers; want one of each",
			len(pod.InitContainers), len(pod.Containers))
	}
	side, app := pod.InitContainers[0], pod.Containers[0]
	if side.RestartPolicy == nil || *side.RestartPolicy != corev1.ContainerRestartPolicyAlways || side.StartupProbe == nil {
		t.Error("the sidecar is no native one: it needs restartPolicy Always and a startup probe")
	}
	if app.Name != "application" || app.Image != "registry.example/shop:1" ||
		side.Image != "registry.example/hauberk:0.1.0" {
		t.Errorf("the containers are %s %s and %s", app.Name, app.Image, side.Image)
	}
	security := side.SecurityContext
	if !*security.ReadOnlyRootFilesystem || !*security.RunAsNonRoot || *security.AllowPrivilegeEscalation ||
		!slices.Contains(security.Capabilities.Drop, "ALL") {
		t.Errorf("the sidecar may do too much: %+v", security)
	}
	for _, m := range side.VolumeMounts {
		if m.SubPath != "" || !m.ReadOnly {
			t.Errorf("%s: Kubernetes does not update files with a subPath, and the sidecar writes none", m.Name)
		}
	}
	service := decode[corev1.Service](t, files, "service.yaml")
	labels := deployment.Spec.Template.Labels
	for key, value := range service.Spec.Selector {
		if labels[key] != value {
			t.Errorf("the service selects %s=%s; the pods have %q", key, value, labels[key])
		}
	}
	if port := service.Spec.Ports[0]; port.TargetPort.StrVal != side.Ports[0].Name {
		t.Errorf("the service sends calls to %v; the sidecar listens at %v", port.TargetPort, side.Ports)
	}
}

// TestPolicy: the policy of the chart is valid, the linter finds nothing, and its listeners are at the ports of the pod.
func TestPolicy(t *testing.T) {
	files, err := render(t, values(t, "files: {note.txt: 'a: \"b\"'}"))
	if err != nil {
		t.Fatal(err)
	}
	data := decode[corev1.ConfigMap](t, files, "configmap.yaml").Data
	if data["note.txt"] != `a: "b"` {
		t.Errorf("the further file is %q", data["note.txt"])
	}
	quiet := policy.WithLogger(slog.New(slog.DiscardHandler))
	p, err := policy.Parse("policy.yaml", []byte(data["policy.yaml"]), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if findings := p.Server().Lint(hauberk.ServerSide); len(findings) > 0 {
		t.Errorf("the linter finds %v", findings)
	}
	pod := decode[appsv1.Deployment](t, files, "deployment.yaml").Spec.Template.Spec
	ports := pod.InitContainers[0].Ports
	for i, address := range []string{p.Gateway().Listen, p.Gateway().Telemetry} {
		if _, port, _ := strings.Cut(address, ":"); port != strings.TrimSpace(yamlOf(t, ports[i].ContainerPort)) {
			t.Errorf("the policy listens at %s; the pod has the port %v", address, ports[i])
		}
	}
	if *p.Gateway().Drain >= secondsOf(*pod.TerminationGracePeriodSeconds) {
		t.Errorf("the drain time is %v; Kubernetes ends the pod after %d s",
			*p.Gateway().Drain, *pod.TerminationGracePeriodSeconds)
	}
}

// TestValues: values reach the manifests.
func TestValues(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	files, err := render(t, values(t, `
image: {repository: registry.example/hauberk, digest: "`+digest+`"}
existingConfigMap: shared
secrets: [{name: shop-tls, mountPath: /etc/hauberk-tls}]
ports: {grpc: 9000, telemetry: 9001}
env: [{name: OTEL_SERVICE_NAME, value: shop}]
disruptionBudget: {enabled: true, maxUnavailable: 1}
application: {name: shop, image: registry.example/shop:1, args: [serve]}
podAnnotations: {note: a}
podLabels: {team: shop}
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists}]
affinity: {nodeAffinity: {}}
volumes: [{name: data, emptyDir: {}}]
imagePullSecrets: [{name: pull}]
serviceAccountName: shop
`))
	if err != nil {
		t.Fatal(err)
	}
	if files["configmap.yaml"] != "" {
		t.Error("the chart renders a ConfigMap in addition to the existing one")
	}
	template := decode[appsv1.Deployment](t, files, "deployment.yaml").Spec.Template
	pod, side := template.Spec, template.Spec.InitContainers[0]
	if side.Image != "registry.example/hauberk@"+digest || side.Ports[0].ContainerPort != 9000 ||
		side.Env[0].Value != "shop" {
		t.Errorf("the sidecar is %+v", side)
	}
	if len(pod.Volumes) != 3 || pod.Volumes[0].ConfigMap.Name != "shared" ||
		pod.Volumes[1].Secret.SecretName != "shop-tls" ||
		pod.Volumes[1].Name != side.VolumeMounts[1].Name || side.VolumeMounts[1].MountPath != "/etc/hauberk-tls" {
		t.Errorf("the volumes are %+v, mounted as %+v", pod.Volumes, side.VolumeMounts)
	}
	if pod.Containers[0].Name != "shop" || pod.Containers[0].Args[0] != "serve" || template.Annotations["note"] != "a" ||
		template.Labels["team"] != "shop" || pod.NodeSelector["disk"] != "ssd" || len(pod.Tolerations) != 1 ||
		pod.ImagePullSecrets[0].Name != "pull" || pod.ServiceAccountName != "shop" || pod.Affinity.NodeAffinity == nil {
		t.Errorf("the pod is %+v", pod)
	}
	budget := decode[policyv1.PodDisruptionBudget](t, files, "disruptionbudget.yaml")
	if budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("the disruption budget is %+v", budget.Spec)
	}
}

// TestWrongValues: bad values are errors that name them.
func TestWrongValues(t *testing.T) {
	tests := map[string]string{
		"image: {}":                          "image.repository is missing",
		"application: {}":                    "application.image is missing",
		"image: {repositry: a}":              "repositry",
		"replica: 1":                         "replica",
		"ports: {grpc: 70000}":               "/ports/grpc",
		"secrets: [{name: a}]":               "mountPath",
		"image: {repository: a, digest: md}": "/image/digest",
	}
	for given, want := range tests {
		if _, err := render(t, values(t, given)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", given, err, want)
		}
	}
}

// TestDocumented: every value in values.yaml is in the schema, and the other way round.
func TestDocumented(t *testing.T) {
	var defaults map[string]any
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	for name, into := range map[string]any{"values.yaml": &defaults, "values.schema.json": &schema} {
		data, err := os.ReadFile(filepath.Join(chart, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, standard := range []string{"global", "nameOverride", "fullnameOverride"} {
		delete(schema.Properties, standard)
	}
	got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(defaults))
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %q\nvalues.yaml has %q", got, want)
	}
}

func yamlOf(t *testing.T, value any) string {
	t.Helper()
	data, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func secondsOf(n int64) time.Duration { return time.Duration(n) * time.Second }
