//go:build java

package e2e_test

import (
	"archive/zip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// javaInteropCases are grpc-java's interop cases that need nothing but a server.
var javaInteropCases = []string{
	"empty_unary", "large_unary", "client_compressed_unary", "server_compressed_unary",
	"client_streaming", "client_compressed_streaming", "server_streaming", "server_compressed_streaming",
	"ping_pong", "empty_stream", "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server",
	"custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
	"unimplemented_service", "pick_first_unary", "rpc_soak", "channel_soak",
}

// grpc-java's interoperability tests pass through the sidecar, with client and server of grpc-java. The server does not
// support all of them: cases that fail at the sidecar must fail at the server itself, too.
func TestJavaInterop(t *testing.T) { javaInterop(t, false) }

// The same with TLS on both sides.
func TestJavaInteropTLS(t *testing.T) { javaInterop(t, true) }

func javaInterop(t *testing.T, secure bool) {
	t.Helper()
	classPath := must(t, "./java-env.sh", "javainterop")
	java := func(main string, args ...string) []string {
		args = append(args, fmt.Sprintf("--use_tls=%t", secure))
		return append([]string{
			"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath, "io.grpc.testing.integration." + main,
		}, args...)
	}
	var flags []string
	if secure {
		dir := t.TempDir()
		for _, name := range []string{"ca.pem", "server1.pem", "server1.key"} {
			extractCert(t, classPath, name, filepath.Join(dir, name))
		}
		flags = []string{
			"--tls-cert", filepath.Join(dir, "server1.pem"), "--tls-key", filepath.Join(dir, "server1.key"),
			"--upstream-tls", "--upstream-ca", filepath.Join(dir, "ca.pem"), "--upstream-server-name", "foo.test.google.fr",
		}
	}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	start(t, nil, "java", java("TestServiceServer", "--port="+port)...).says(t, `^Server started on port (\d+)`)
	gate, target := sidecar(t, io.Discard, "127.0.0.1:"+port, flags...)
	_, gatePort, err := net.SplitHostPort(target)
	if err != nil {
		t.Fatal(err)
	}
	passes := func(t *testing.T, port, name string) error {
		t.Helper()
		args := []string{"--server_host=127.0.0.1", "--server_port=" + port, "--test_case=" + name}
		if secure {
			args = append(args, "--use_test_ca=true", "--server_host_override=foo.test.google.fr")
		}
		if strings.HasSuffix(name, "_soak") {
			args = append(args, "--soak_iterations=20", "--soak_overall_timeout_seconds=100",
				"--soak_per_iteration_max_acceptable_latency_ms=20000")
		}
		out, err := run(t.Context(), "java", java("TestServiceClient", args...)...)
		if err == nil && !strings.Contains(out, "Test completed.") {
			err = fmt.Errorf("the case is not completed:\n%s", out)
		}
		return err
	}
	for _, name := range javaInteropCases {
		t.Run(name, func(t *testing.T) {
			err := passes(t, gatePort, name)
			if err == nil {
				return
			}
			if passes(t, port, name) == nil {
				t.Errorf("only at the sidecar: %v", err)
			}
			t.Log("the case fails without the sidecar, too")
		})
	}
	if err := gate.stop(t); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, &gate.said)
	}
}

// freeAddress returns an address of this machine on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

// extractCert writes a file that grpc-java's tests have in one of their libraries.
func extractCert(t *testing.T, classPath, name, to string) {
	t.Helper()
	jars, err := filepath.Glob(filepath.Join(filepath.Dir(strings.Split(classPath, ":")[0]), ".jars", "*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, jar := range jars {
		archive, err := zip.OpenReader(jar)
		if err != nil {
			t.Fatal(err)
		}
		text, err := readCert(archive, name)
		_ = archive.Close()
		if err != nil {
			continue
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("none of %d libraries has the file %s", len(jars), name)
}

func readCert(archive *zip.ReadCloser, name string) ([]byte, error) {
	file, err := archive.Open("certs/" + name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
