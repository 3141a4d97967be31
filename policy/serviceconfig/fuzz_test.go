package serviceconfig_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

// native returns the connection that grpc-go makes with a service config, or the error of its parser.
func native(text string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///none", grpc.WithDefaultServiceConfig(text),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, net.ErrClosed }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// stricter are mistakes that grpc-go accepts or ignores, by their names in bad. All others are errors of grpc-go, too.
var stricter = map[string]bool{
	"null": true, "unknown": true, "twice": true, "case": true, "null entry": true, "unknown in entry": true, "null name": true,
	"pattern": true, "pattern of a method": true, "slash": true, "timeout of 0": true, "negative timeout": true,
	"request bytes": true, "both policies": true, "shrinking": true, "OK": true, "null code": true,
	"hedges": true, "one hedge": true, "delay": true, "fatal": true, "half tokens": true, "tiny ratio": true,
}

// TestStricter: the table of what is stricter than grpc-go is complete.
func TestStricter(t *testing.T) {
	for name, c := range bad {
		conn, err := native(c.text)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != stricter[name] {
			t.Errorf("%s: stricter is %t, but grpc-go returns %v", name, stricter[name], err)
		}
	}
}

// FuzzParse: Parse accepts nothing that grpc-go rejects, apart from what is left to it, and reads the same. It never
// panics, and a chain can be made of what it accepts.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	for _, c := range bad {
		f.Add(c.text)
	}
	for _, d := range []string{"1.s", ".5s", "+1s", "1.+5s", "-.5s", "01s", "1.000000001s", "315576000000s", " 1s", "1e3s", "--1s", "1_0s"} {
		f.Add(entry(`"timeout": "` + d + `"`))
		f.Add(retries(`"0.1s"`, `"`+d+`"`))
	}
	f.Add(`{"loadBalancingConfig": [], "loadBalancingPolicy": 3}`)
	f.Add(retries(`"maxAttempts": 2`, `"maxAttempts": 2e0`))
	f.Add(retries(`["UNAVAILABLE"]`, `[14.0, "14"]`))
	f.Fuzz(func(t *testing.T, text string) {
		config, err := serviceconfig.Parse([]byte(text))
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "serviceconfig: ") || !strings.Contains(line, "want") {
					t.Errorf("%q: no advice in %q", text, line)
				}
			}
			return
		}
		if _, err := hauberk.New(config.Client().All()...); err != nil {
			t.Errorf("%q: no chain: %v", text, err)
		}
		if !json.Valid([]byte(config.Rest())) {
			t.Errorf("%q: Rest is %q", text, config.Rest())
		}
		conn, err := native(text)
		if err != nil {
			if rest, err := native(config.Rest()); err == nil {
				_ = rest.Close()
				t.Errorf("grpc-go rejects %q: %v", text, err)
			}
			return
		}
		defer func() { _ = conn.Close() }()
		conn.Connect() // resolves the target, which is what a service config takes effect with
		for i := range config.Methods {
			sameMethod(t, conn, &config.Methods[i])
		}
	})
}

// sameMethod compares an entry with what grpc-go has read for its names.
func sameMethod(t *testing.T, conn *grpc.ClientConn, m *serviceconfig.MethodConfig) {
	t.Helper()
	for _, name := range m.Names {
		full := "/" + strings.TrimSuffix(name, "*") + "Other"
		switch {
		case name == "*":
			full = "/other.Service/Other"
		case !strings.HasSuffix(name, "*"):
			full = "/" + name
		}
		got := conn.GetMethodConfig(full)
		if !equal(got.WaitForReady, m.WaitForReady) || !equal(got.MaxReqSize, m.MaxRequestBytes) ||
			!equal(got.MaxRespSize, m.MaxResponseBytes) || got.Timeout == nil != (m.Timeout == 0) ||
			got.Timeout != nil && *got.Timeout != m.Timeout || got.RetryPolicy == nil != (m.Retry == nil) {
			t.Errorf("%s: grpc-go has %+v, not %+v", full, got, m)
		}
		if got.RetryPolicy == nil || m.Retry == nil {
			continue
		}
		theirs, ours := got.RetryPolicy, m.Retry
		same := theirs.MaxAttempts == min(ours.MaxAttempts, serviceconfig.DefaultMaxCallAttempts) &&
			theirs.InitialBackoff == ours.InitialBackoff && theirs.MaxBackoff == ours.MaxBackoff &&
			theirs.BackoffMultiplier == ours.BackoffMultiplier && len(theirs.RetryableStatusCodes) == len(ours.RetryableStatusCodes)
		for _, code := range ours.RetryableStatusCodes {
			same = same && theirs.RetryableStatusCodes[code]
		}
		if !same {
			t.Errorf("%s: grpc-go has %+v, not %+v", full, theirs, ours)
		}
	}
}

// equal reports whether two values are both absent or the same.
func equal[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
