// Package systemd_test checks the unit of systemd.
package systemd_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const unit = "hauberk.service"

// settings returns the settings of the unit, "Service.Type", with their values in order.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !ok || section == "":
			t.Errorf("the line %q is no setting of a section", line)
		default:
			all[section+"."+key] = append(all[section+"."+key], value)
		}
	}
	return all
}

// TestUnit: systemd waits until the sidecar is ready, reloads it by SIGHUP, and confines it.
func TestUnit(t *testing.T) {
	all := settings(t)
	wants := map[string]string{
		"Type": "notify", "NotifyAccess": "main", "Restart": "on-failure", "KillMode": "mixed",
		"ExecStart":    "/usr/bin/hauberk run -c /etc/hauberk/policy.yaml",
		"ExecStartPre": "/usr/bin/hauberk validate /etc/hauberk/policy.yaml",
		"ExecReload":   "/bin/kill -HUP $MAINPID",
		"DynamicUser":  "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "",
		"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "yes",
		"ProtectKernelTunables": "yes", "ProtectKernelModules": "yes",
		"ProtectKernelLogs": "yes", "ProtectControlGroups": "yes",
		"ProtectClock": "yes", "ProtectHostname": "yes", "ProtectProc": "invisible", "MemoryDenyWriteExecute": "yes",
		"RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
		"SystemCallArchitectures": "native", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
	}
	for key, want := range wants {
		if got := all["Service."+key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q; want %q", key, got, want)
		}
	}
}

// TestVerify: systemd accepts the unit, where it is installed, and rates its exposure below 2 of 10.
func TestVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	data, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("true") // the unit's program has to exist
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), unit)
	data = bytes.ReplaceAll(data, []byte("/usr/bin/hauberk"), []byte(program))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", file},
		{"security", "--offline=true", "--threshold=20", "--no-pager", file},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		out, err := exec.CommandContext(ctx, analyze, args...).CombinedOutput()
		cancel()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
