package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web/webtest"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

const secret = "0123456789abcdef0123456789abcdef"

// served is a listener, with the number of reloads.
type served struct {
	*Server

	reloads atomic.Int32
	good    atomic.Bool // the file is in force after a reload
	calls   Calls
}

// serve serves a listener at an address, with a token if there is one.
func serve(t *testing.T, token string) *served {
	t.Helper()
	hauberktest.CheckLeaks(t)
	flags := Flags{Address: "127.0.0.1:0"}
	if token != "" {
		flags.TokenFile = filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(flags.TokenFile, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at, err := flags.Resolve(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	s := new(served)
	s.good.Store(true)
	s.Server, err = Listen(at, flags, Sources{
		Config: func() any { return map[string]string{"hash": "abc"} },
		Calls:  &s.calls,
		Reload: func() (any, bool) { s.reloads.Add(1); return map[string]string{"hash": "def"}, s.good.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send sends a request. The header Host is the host of the request.
func (s *served) send(t *testing.T, method, path string, header ...string) (resp *http.Response, body string) {
	t.Helper()
	req := webtest.Request(t, method, strings.TrimSuffix(s.URL(), "/")+path)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	return webtest.Do(t, http.DefaultClient, req)
}

// Each request is served only after all checks, and what it would change is not changed before.
func TestRequests(t *testing.T) {
	bearer := []string{"Authorization", "Bearer " + secret}
	and := func(more ...string) []string { return append(append([]string(nil), bearer...), more...) }
	for _, tt := range []struct {
		name         string
		token        string
		method, path string
		header       []string
		want         int
	}{
		{"config", "", http.MethodGet, "/config", nil, 200},
		{"calls", "", http.MethodGet, "/calls", nil, 200},
		{"reload without a token of the listener", "", http.MethodPost, "/reload", bearer, 403},
		{"profiles without a token of the listener", "", http.MethodGet, "/debug/pprof/heap", bearer, 403},
		{"another path", "", http.MethodGet, "/", nil, 404},
		{"config without the token", secret, http.MethodGet, "/config", nil, 401},
		{"another path without the token", secret, http.MethodGet, "/other", nil, 401},
		{"config with the token", secret, http.MethodGet, "/config", bearer, 200},
		{"another token", secret, http.MethodGet, "/config", []string{"Authorization", "Bearer " + secret[1:] + "0"}, 401},
		{"a part of the token", secret, http.MethodGet, "/config", []string{"Authorization", "Bearer " + secret[1:]}, 401},
		{"two tokens", secret, http.MethodGet, "/config", and(bearer...), 401},
		{"another scheme", secret, http.MethodGet, "/config", []string{"Authorization", "Basic " + secret}, 401},
		{"health", secret, http.MethodGet, "/healthz", nil, 200},
		{"profiles", secret, http.MethodGet, "/debug/pprof/goroutine?debug=1", bearer, 200},
		{"reload", secret, http.MethodPost, "/reload", bearer, 200},
		{"reload by GET", secret, http.MethodGet, "/reload", bearer, 405},
		{"reload without the token", secret, http.MethodPost, "/reload", nil, 401},
		{"reload of another site", secret, http.MethodPost, "/reload", and("Sec-Fetch-Site", "cross-site"), 403},
		{"reload of another port", secret, http.MethodPost, "/reload", and("Sec-Fetch-Site", "same-site"), 403},
		{"reload of another origin", secret, http.MethodPost, "/reload", and("Origin", "https://evil.example"), 403},
		{"reload of no origin", secret, http.MethodPost, "/reload", and("Origin", "null"), 403},
		{"reload of the same origin", secret, http.MethodPost, "/reload", and("Sec-Fetch-Site", "same-origin"), 200},
		{"method in a header", secret, http.MethodGet, "/reload", and("X-Http-Method-Override", "POST"), 405},
		{"localhost", "", http.MethodGet, "/config", []string{"Host", "localhost:9901"}, 200},
		{"an address of IPv6", "", http.MethodGet, "/config", []string{"Host", "[::1]:9901"}, 200},
		{"a name of a site", "", http.MethodGet, "/config", []string{"Host", "evil.example:9901"}, 403},
		{"a name of a site, with the token", secret, http.MethodGet, "/calls", and("Host", "evil.example"), 403},
		{"a name that ends with an address", "", http.MethodGet, "/config", []string{"Host", "evil.127.0.0.1"}, 403},
		{"a name that begins with localhost", "", http.MethodGet, "/config", []string{"Host", "localhost.evil.example"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.token)
			resp, body := s.send(t, tt.method, tt.path, tt.header...)
			if resp.StatusCode != tt.want {
				t.Errorf("%s, %s; want %d", resp.Status, body, tt.want)
			}
			want := int32(0)
			if tt.path == "/reload" && tt.want == 200 {
				want = 1
			}
			if n := s.reloads.Load(); n != want {
				t.Errorf("%d reloads; want %d", n, want)
			}
			if h := resp.Header; tt.path != "/healthz" && (h.Get("X-Content-Type-Options") != "nosniff" ||
				h.Get("Content-Security-Policy") == "" || h.Get("Access-Control-Allow-Origin") != "") {
				t.Errorf("the header is %v", h)
			}
			if strings.Contains(body, secret) {
				t.Errorf("the token is in %s", body)
			}
		})
	}
}

// A reload that fails has another status, and the same answer.
func TestReloadFails(t *testing.T) {
	s := serve(t, secret)
	s.good.Store(false)
	resp, body := s.send(t, http.MethodPost, "/reload", "Authorization", "Bearer "+secret)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `"def"`) {
		t.Errorf("%s, %s", resp.Status, body)
	}
}

// An address that other machines can reach needs a token, and TLS or --insecure.
func TestResolve(t *testing.T) {
	pair := web.TLS{Cert: "cert.pem", Key: "key.pem"}
	for _, tt := range []struct {
		name     string
		flags    Flags
		insecure bool
		want     string // a part of the error; "" is none
	}{
		{"nothing", Flags{}, false, ""},
		{"loopback", Flags{Address: "127.0.0.1:0"}, false, ""},
		{"plain text", Flags{Address: "0.0.0.0:9901", TokenFile: "token"}, false, "--admin-tls-cert, or --insecure"},
		{"no token", Flags{Address: "0.0.0.0:9901", TLS: pair}, false, "want --admin-token-file, or a loopback address"},
		{"insecure without a token", Flags{Address: ":9901"}, true, "want --admin-token-file"},
		{"TLS and a token", Flags{Address: "0.0.0.0:9901", TLS: pair, TokenFile: "token"}, false, ""},
		{"insecure and a token", Flags{Address: "0.0.0.0:9901", TokenFile: "token"}, true, ""},
		{"token without an address", Flags{TokenFile: "token"}, false, "--admin-token-file needs --admin"},
		{"TLS without an address", Flags{TLS: pair}, false, "--admin-tls-cert needs --admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.flags.Resolve(t.Context(), tt.insecure)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A token is long, and its text is in no error.
func TestToken(t *testing.T) {
	for text, ok := range map[string]bool{
		secret: true, " " + secret + "\r\n": true, "": false, secret[1:]: false, secret + " " + secret: false,
		secret + "\n" + secret: false, secret + "é": false,
	} {
		if _, err := parseToken([]byte(text)); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "0123") {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Flags{TokenFile: "none"}, Sources{})
	if err == nil || !strings.HasPrefix(err.Error(), "--admin-token-file: ") {
		t.Errorf("without the file: %v", err)
	}
}

// deny rejects calls.
func deny(code codes.Code) hauberk.Interceptor {
	return hauberk.Declare(hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(code, "DENIED", "no")
	}), hauberk.Declaration{Name: "deny", Decides: true})
}

// The last rejected calls are kept, enforced or not, newest first, with bounded texts. Other calls are not.
func TestCalls(t *testing.T) {
	s := serve(t, "")
	run := func(method string, interceptors ...hauberk.Interceptor) {
		chain := hauberk.Must(hauberk.New(append([]hauberk.Interceptor{&s.calls}, interceptors...)...))
		handler := func(context.Context, any) (any, error) { return nil, nil }
		_, _ = chain.UnaryServerInterceptor()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, handler)
	}
	run("/a.B/Passes")
	run("/a.B/Shadow", hauberk.Shadow(deny(codes.PermissionDenied)))
	for i := range maxCalls + 9 {
		run(fmt.Sprintf("/a.B/M%d", i), deny(codes.PermissionDenied))
	}
	run("/a.B/<script>"+strings.Repeat("x", 10*maxText), deny(codes.Unauthenticated))
	resp, body := s.send(t, http.MethodGet, "/calls")
	var got recent
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Total != maxCalls+11 || len(got.Calls) != maxCalls {
		t.Errorf("%d calls of %d", len(got.Calls), got.Total)
	}
	first, second := got.Calls[0], got.Calls[1]
	if first.Code != "UNAUTHENTICATED" || len(first.Method) > maxText+3 ||
		second.Method != fmt.Sprintf("/a.B/M%d", maxCalls+8) {
		t.Errorf("first %+v, second %+v", first, second)
	}
	want := Decision{Interceptor: "deny", Verdict: "rejected", Reason: "DENIED"}
	if len(first.Decisions) != 1 || first.Decisions[0] != want || first.Side != "server" {
		t.Errorf("%+v; want the decision %+v", first, want)
	}
	if strings.Contains(body, "<script>") || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", resp.Header)
	}
}

// A call in shadow is kept, too.
func TestCallsInShadow(t *testing.T) {
	var c Calls
	chain := hauberk.Must(hauberk.New(&c, hauberk.Shadow(deny(codes.PermissionDenied))))
	if err := (hauberktest.Direct{}).Server(chain)(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.recent()
	if len(got.Calls) != 1 || got.Calls[0].Code != "OK" || !got.Calls[0].Decisions[0].Shadow {
		t.Errorf("%+v", got)
	}
}

// A call with many decisions keeps the rejections.
func TestManyDecisions(t *testing.T) {
	all := make([]hauberk.Decision, 2*maxDecisions)
	all[len(all)-1] = hauberk.Decision{Interceptor: "last", Verdict: hauberk.Rejected}
	kept := decisionsOf(all)
	if len(kept) != maxDecisions || kept[0].Interceptor != "last" {
		t.Errorf("%d decisions, first %+v", len(kept), kept[0])
	}
}

// The interceptor keeps rejected calls of all kinds on both sides, and changes no call.
func TestMatrix(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var calls Calls
		for _, interceptors := range [][]hauberk.Interceptor{{&calls}, {&calls, deny(codes.PermissionDenied)}} {
			d, chain := hauberktest.Direct{Kind: c.Kind}, hauberk.Must(hauberk.New(interceptors...))
			call := d.Server(chain)
			if c.Side == hauberk.ClientSide {
				call = d.Client(chain)
			}
			if err := call(t.Context()); (err != nil) != (len(interceptors) > 1) {
				t.Errorf("with %d interceptors: %v", len(interceptors), err)
			}
		}
		got := calls.recent()
		if len(got.Calls) != 1 || got.Calls[0].Side != c.Side.String() || got.Calls[0].Decisions[0].Reason != "DENIED" {
			t.Errorf("%+v", got)
		}
	})
}
