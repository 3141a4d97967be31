package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// identities answers with the metadata that may name the caller, a line each.
type identities struct {
	testgrpc.UnimplementedTestServiceServer
}

func (identities) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	var lines []string
	for key, values := range md {
		if strings.Contains(key, "user") && key != "user-agent" || strings.HasPrefix(key, "x") || key == "forwarded" {
			lines = append(lines, key+"="+strings.Join(values, ","))
		}
	}
	slices.Sort(lines)
	return &testgrpc.SimpleResponse{Username: "\n" + strings.Join(lines, "\n") + "\n"}, nil
}

// policyFile writes a policy file that admits callers with the key "key-of-billing" to UnaryCall, and returns its path.
func policyFile(t *testing.T, rest string) string {
	t.Helper()
	dir := t.TempDir()
	hash := sha256.Sum256([]byte("key-of-billing"))
	write(t, filepath.Join(dir, "keys.txt"), "billing sha256:"+hex.EncodeToString(hash[:])+" tenant=acme\n")
	path := filepath.Join(dir, "policy.yaml")
	write(t, path, policyText(rest))
	return path
}

func policyText(rest string) string {
	return `version: 1
trusted_proxies: 127.0.0.0/8
gateway:
  listen: 192.0.2.1:8443
  insecure: true
  upstream: 127.0.0.1:1
  drain: 20s
  identity_metadata: {subject: x-subject, tenant: x-org}
server:
  - use: metrics
  - use: authn
    api_keys: {file: keys.txt}
` + rest
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// identified serves identities until the test ends.
func identified(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, identities{})
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String()
}

// Without a policy file, too, the sidecar removes metadata that looks like an identity or the address of a client, and
// sends the address of the peer.
func TestIdentityWithoutPolicy(t *testing.T) { eachTransport(t, runIdentityWithoutPolicy) }

func runIdentityWithoutPolicy(t *testing.T, flag string) {
	t.Helper()
	forged := []string{
		"x-user", "eve", "x_user", "eve", "x-user-bin", "eve", "x.user", "eve", "x-forwarded-user", "eve",
		"x-forwarded-for", "198.51.100.7", "x_forwarded_for", "198.51.100.7", "x-forwarded-for-bin", "198.51.100.7",
		"x-real-ip", "198.51.100.7", "x_real_ip", "198.51.100.7", "forwarded", "for=198.51.100.7;user=eve",
	}
	for name, c := range map[string]struct {
		flags []string
		sent  []string
		want  string
	}{
		"nothing": {nil, nil, "\nx-forwarded-for=127.0.0.1\n"},
		"forged":  {nil, forged, "\nx-forwarded-for=127.0.0.1\n"},
		"others are kept": {
			nil, slices.Concat(forged, []string{"x-user2", "bob"}), "\nx-forwarded-for=127.0.0.1\nx-user2=bob\n",
		},
		"another list": {
			[]string{"--strip-metadata", "x-other"},
			[]string{"x-user", "bob", "x_other", "eve"},
			"\nx-forwarded-for=127.0.0.1\nx-user=bob\n",
		},
		"an empty list": {
			[]string{"--strip-metadata", ""},
			[]string{"x-user", "bob", "x-forwarded-for", "198.51.100.7"},
			"\nx-forwarded-for=127.0.0.1\nx-user=bob\n",
		},
		"addresses as they were sent": {
			[]string{"--forward-address=false"}, []string{"x-forwarded-for", "198.51.100.7"}, "\nx-forwarded-for=198.51.100.7\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := sidecar(t, io.Discard, identified(t), append(c.flags, flag)...)
			ctx := metadata.AppendToOutgoingContext(t.Context(), c.sent...)
			resp, err := dial(t, address).UnaryCall(ctx, &testgrpc.SimpleRequest{})
			if err != nil || resp.GetUsername() != c.want {
				t.Errorf("the upstream receives %q, %v; want %q", resp.GetUsername(), err, c.want)
			}
		})
	}
}

// With a policy file the sidecar rejects calls without a key, removes what looks like an identity, passes the verified
// one on, and reads the file again after SIGHUP. Flags take precedence over keys, and a line says so.
func TestPolicyFile(t *testing.T) { eachTransport(t, runPolicyFile) }

func runPolicyFile(t *testing.T, flag string) {
	t.Helper()
	path := policyFile(t, "")
	gate, address := sidecar(t, io.Discard, identified(t), flag, "--config", path)
	gate.says(t, `^hauberk: (--listen) takes precedence over gateway\.listen \(.*policy\.yaml:4\)$`)
	client := dial(t, address)
	call := func(pairs ...string) (string, error) {
		ctx := metadata.AppendToOutgoingContext(t.Context(), pairs...)
		resp, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return resp.GetUsername(), err
	}
	if _, err := call("x-subject", "billing"); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call without a key ends with %v", err)
	}
	got, err := call("x-api-key", "key-of-billing", "x-user", "eve", "x_user", "eve", "x-user-bin", "eve",
		"x-subject", "eve", "x_subject", "eve", "x-org-bin", "eve", "x-forwarded-user", "eve", "x.user", "eve",
		"x-forwarded-for", "198.51.100.7, 203.0.113.9")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "eve") {
		t.Errorf("the upstream receives %s", got)
	}
	for _, want := range []string{"\nx-subject=billing\n", "\nx-org=acme\n", "\nx-forwarded-for=203.0.113.9, 127.0.0.1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the upstream receives %s; want %s", got, want)
		}
	}

	write(t, path, policyText("  - use: authz\n    rulez: []\n"))
	gate.signal(t, syscall.SIGHUP)
	gate.says(t, `(authz has the unknown key "rulez"; did you mean "rules"\?)$`)
	gate.says(t, `^hauberk: (not reloaded); the policy remains as it was$`)
	if _, err := call("x-api-key", "key-of-billing"); err != nil {
		t.Errorf("after a bad file: %v", err)
	}
	write(t, path, strings.Replace(policyText("  - use: authz\n    rules: {allow: other.v1.Service/*}\n"), "20s", "10s", 1))
	gate.signal(t, syscall.SIGHUP)
	gate.says(t, `^hauberk: (gateway\.drain) has changed; it is in force after a restart$`)
	gate.says(t, `^hauberk: (reloaded) .*policy\.yaml$`)
	if _, err := call("x-api-key", "key-of-billing"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("after a new rule: %v", err)
	}
	gate.signal(t, syscall.SIGTERM)
	if err := gate.wait(t); err != nil {
		t.Errorf("the sidecar ended with %v", err)
	}
	gate.says(t, `^hauberk: stopped; (4) calls, 2 failed$`)
}

// The chain client runs around the calls to the upstream.
func TestPolicyFileClient(t *testing.T) {
	path := policyFile(t, "client: [{use: transform, metadata: {set: {x-by: the-client-chain}}}]\n")
	_, address := sidecar(t, io.Discard, identified(t), "-c", path)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-api-key", "key-of-billing")
	resp, err := dial(t, address).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	if err != nil || !strings.Contains(resp.GetUsername(), "\nx-by=the-client-chain\n") {
		t.Errorf("%v, %v", resp, err)
	}
}

// A policy file that is wrong ends the sidecar with exit code 1 and all errors.
func TestPolicyFileWrong(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	gate := start(t, io.Discard, binary, "run", "-c", policyFile(t, "  - use: authz\n    rulez: []\n"))
	gate.says(t, `policy\.yaml:\d+:5: (authz has the unknown key "rulez"; did you mean "rules"\?)$`)
	if err := gate.wait(t); err == nil || err.Error() != "exit status 1" {
		t.Errorf("the sidecar ended with %v", err)
	}
}
