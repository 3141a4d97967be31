package e2e_test

import (
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// grpc-go's interoperability tests pass through the sidecar.
func TestInterop(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "interop")
	must(t, "go", "-C", "interop", "build", "-o", binary, ".")
	direct := start(t, nil, binary, "server").says(t, listening)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) { interop(t, binary, direct, "", "--transport", transport) })
	}
}

// The same with TLS on both sides.
func TestInteropTLS(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "interop")
	must(t, "go", "-C", "interop", "build", "-o", binary, ".")
	certFile, keyFile := certificate(t, t.TempDir())
	direct := start(t, nil, binary, "server", certFile, keyFile).says(t, listening)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			interop(t, binary, direct, certFile, "--transport", transport, "--tls-cert", certFile, "--tls-key", keyFile,
				"--upstream-tls", "--upstream-ca", certFile)
		})
	}
}

// interop runs the cases at a sidecar with flags. certFile is its certificate if it has one.
func interop(t *testing.T, binary, direct, certFile string, flags ...string) {
	t.Helper()
	gate, target := sidecar(t, io.Discard, direct, flags...)
	cases := []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server", "custom_metadata",
		"status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service",
	}
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			args := []string{"client", target, name}
			if certFile != "" {
				args = append(args, certFile)
			}
			out, err := run(t.Context(), binary, args...)
			if err != nil || strings.TrimSpace(out) != "passed" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if err := gate.stop(t); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, &gate.said)
	}
	calls := gate.says(t, `^hauberk: stopped; (\d+) calls`)
	if n, err := strconv.Atoi(calls); err != nil || n < len(cases) {
		t.Errorf("%s calls passed the sidecar, want at least %d", calls, len(cases))
	}
}
