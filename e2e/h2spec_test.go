package e2e_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// h2spec's cases of HTTP/2 that fail at the sidecar fail at a bare grpc-go server too.
func TestH2spec(t *testing.T) {
	bin := t.TempDir()
	binary, peer := filepath.Join(bin, "h2spec"), filepath.Join(bin, "interop")
	must(t, "go", "-C", "h2spec", "build", "-o", binary, "github.com/summerwind/h2spec/cmd/h2spec")
	must(t, "go", "-C", "interop", "build", "-o", peer, ".")
	certFile, keyFile := certificate(t, t.TempDir())
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		direct := start(t, nil, peer, "server").says(t, listening)
		h2spec(t, binary, direct, nil, nil)
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		direct := start(t, nil, peer, "server", certFile, keyFile).says(t, listening)
		h2spec(t, binary, direct, []string{"--tls", "--insecure"}, []string{
			"--tls-cert", certFile, "--tls-key", keyFile, "--upstream-tls", "--upstream-ca", certFile,
		})
	})
}

func h2spec(t *testing.T, binary, direct string, flags, sidecarFlags []string) {
	t.Helper()
	gate, target := sidecar(t, io.Discard, direct, append(sidecarFlags, "--transport", "frames")...)
	var bare, got map[string]string
	var both sync.WaitGroup
	both.Go(func() { bare = h2specCases(t, binary, direct, flags) })
	both.Go(func() { got = h2specCases(t, binary, target, flags) })
	both.Wait()
	const cases = 145
	if len(bare) != cases || len(got) != cases {
		t.Fatalf("%d cases ran at the bare server and %d at the sidecar, want %d", len(bare), len(got), cases)
	}
	failed := 0
	for name, reason := range got {
		if reason == "" {
			continue
		}
		failed++
		if bare[name] == "" {
			t.Errorf("%s: a bare server passes, and the sidecar does not:\n%s", name, reason)
		}
	}
	t.Logf("%d cases fail at the sidecar", failed)
	if err := gate.stop(t); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, &gate.said)
	}
}

// h2specCases returns why each case failed, or "".
func h2specCases(t *testing.T, binary, address string, flags []string) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Error(err)
		return nil
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	args := append([]string{
		"-h", host, "-p", port, "--path", "/grpc.testing.TestService/EmptyCall", "--timeout", "2", "--junit-report", report,
	}, flags...)
	out, err := run(t.Context(), binary, args...)
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || failed.ExitCode() != 1) {
		t.Errorf("h2spec: %v\n%s", err, out)
		return nil
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
		return nil
	}
	var parsed struct {
		Suites []struct {
			Cases []struct {
				Package string  `xml:"package,attr"`
				Name    string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &parsed); err != nil {
		t.Error(err)
		return nil
	}
	cases := make(map[string]string)
	for _, suite := range parsed.Suites {
		for _, c := range suite.Cases {
			reason := ""
			for _, why := range []*string{c.Failure, c.Error} {
				if why != nil {
					reason = "failed: " + *why
				}
			}
			cases[c.Package+" "+c.Name] = reason
		}
	}
	return cases
}
