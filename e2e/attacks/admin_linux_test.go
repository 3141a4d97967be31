package attacks_test

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const adminToken = "0123456789abcdef0123456789abcdef"

// administered is a sidecar with a policy file and the admin listener.
type administered struct {
	*gate

	policy string // the path
	url    string // of the listener
}

// deniedPolicy is a policy that rejects all calls except those of the canary.
const deniedPolicy = "version: 1\npublic: hauberk.test.v1.TestService/*\nserver:\n- {use: authn, api_keys: {file: keys.txt}}\n"

func administer(t *testing.T) *administered {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"policy.yaml": deniedPolicy, "token": adminToken, "keys.txt": "billing sha256:" + strings.Repeat("ab", 32) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &administered{policy: filepath.Join(dir, "policy.yaml")}
	a.gate = sidecar(t, "", "-c", a.policy, "--admin", "127.0.0.1:0", "--admin-token-file", filepath.Join(dir, "token"))
	a.url = strings.TrimSuffix(a.stderr.find(t, `(?m)^hauberk: admin at (\S+)$`), "/")
	return a
}

// ask sends a request to the admin listener.
func (a *administered) ask(t *testing.T, method, path, body string, header ...string) (resp *http.Response, text string) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), method, a.url+path, strings.NewReader(body)))
	req.Close = true
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp = must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body)))
}

// loads returns how often the policy was loaded.
func (a *administered) loads(t *testing.T) int {
	t.Helper()
	_, text := a.ask(t, http.MethodGet, "/config", "", "Authorization", "Bearer "+adminToken)
	var config struct {
		Policy struct {
			Loads int `json:"loads"`
		} `json:"policy"`
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return config.Policy.Loads
}

// listens returns the addresses that a process listens on, over TCP.
func listens(t *testing.T, pid int) (all []string) {
	t.Helper()
	root := "/proc/" + strconv.Itoa(pid)
	inodes := make(map[string]bool)
	for _, fd := range must(os.ReadDir(filepath.Join(root, "fd"))) {
		to, _ := os.Readlink(filepath.Join(root, "fd", fd.Name())) // it may be closed by now
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	const listening = "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		for line := range strings.Lines(string(must(os.ReadFile(filepath.Join(root, "net", table))))) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listening || !inodes[f[9]] {
				continue
			}
			host, port, _ := strings.Cut(f[1], ":")
			ip := must(hex.DecodeString(host))
			for word := range slices.Chunk(ip, 4) {
				slices.Reverse(word) // each word is in the order of the machine, little-endian
			}
			all = append(all, net.JoinHostPort(net.IP(ip).String(), strconv.FormatUint(must(strconv.ParseUint(port, 16, 16)), 10)))
		}
	}
	return all
}

// Without an address for it there is no admin listener. All listeners are on loopback addresses, and others are
// rejected without TLS, or without a token.
func TestA01ListeningAddresses(t *testing.T) {
	plain, a := sidecar(t, ""), administer(t)
	for want, g := range map[int]*gate{2: plain, 3: a.gate} {
		all := listens(t, g.cmd.Process.Pid)
		if len(all) != want || slices.ContainsFunc(all, func(at string) bool { return !strings.HasPrefix(at, "127.0.0.1:") }) {
			t.Errorf("it listens on %q; want %d loopback addresses", all, want)
		}
	}
	telemetry := &administered{url: strings.TrimSuffix(plain.metrics, "/metrics")}
	if resp, _ := telemetry.ask(t, http.MethodGet, "/debug/pprof/", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("profiles at --telemetry: %s", resp.Status)
	}
	binary := must(build())
	token := filepath.Join(filepath.Dir(a.policy), "token")
	for _, tt := range []struct{ flags, want string }{
		{"--admin 0.0.0.0:0", "--admin-tls-cert, or --insecure"},
		{"--admin :0 --admin-token-file " + token, "--admin-tls-cert, or --insecure"},
		{"--admin 0.0.0.0:0 --insecure", "want --admin-token-file"},
		{"--telemetry 0.0.0.0:0", "--telemetry-tls-cert, or --insecure"},
	} {
		args := append([]string{"run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"}, strings.Fields(tt.flags)...)
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %v, %s; want %q", tt.flags, err, out, tt.want)
		}
	}
}

// Without the token each path of the admin listener answers 401, except /healthz.
func TestA02RoutesWithoutLogin(t *testing.T) {
	a := administer(t)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodDelete} {
		for _, path := range []string{
			"/", "/config", "/calls", "/reload", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline",
			"/debug/pprof/profile?seconds=1", "/debug/pprof/symbol", "/debug/pprof/trace", "/metrics", "/other", "/config/",
			"//config", "/healthz/", "/healthz/../config", "/%68ealthz/../config", "/config?token=" + adminToken,
		} {
			if resp, text := a.ask(t, method, path, ""); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s: %s, %s; want 401", method, path, resp.Status, text)
			}
		}
	}
	if resp, text := a.ask(t, http.MethodGet, "/healthz", ""); resp.StatusCode != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %s, %q", resp.Status, text)
	}
	if n := a.loads(t); n != 1 {
		t.Errorf("the policy was loaded %d times; want once", n)
	}
}

// Requests of other sites, and those by GET, change nothing, even with the token.
func TestA03RequestsOfOtherSites(t *testing.T) {
	a := administer(t)
	token := []string{"Authorization", "Bearer " + adminToken}
	for _, tt := range []struct {
		method, path, body string
		header             []string
	}{
		{http.MethodPost, "/reload", "", []string{"Sec-Fetch-Site", "cross-site"}},
		{http.MethodPost, "/reload", "", []string{"Sec-Fetch-Site", "same-site"}},
		{http.MethodPost, "/reload", "", []string{"Origin", "https://evil.example"}},
		{http.MethodPost, "/reload", "", []string{"Origin", "null"}},
		{http.MethodPost, "/reload", "a=b", []string{"Content-Type", "text/plain", "Origin", "https://evil.example"}},
		{http.MethodPut, "/reload", "", []string{"Sec-Fetch-Site", "cross-site"}},
		{http.MethodGet, "/reload", "", []string{"X-HTTP-Method-Override", "POST"}},
		{http.MethodGet, "/reload?_method=POST", "", nil},
		{http.MethodHead, "/reload", "", nil},
	} {
		resp, text := a.ask(t, tt.method, tt.path, tt.body, append(tt.header, token...)...)
		if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%+v: %s, %s; want 403 or 405", tt, resp.Status, text)
		}
	}
	if resp, _ := a.ask(t, http.MethodPost, "/reload", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without an origin and the token: %s", resp.Status)
	}
	if n := a.loads(t); n != 1 {
		t.Errorf("the policy was loaded %d times; want once", n)
	}
	if resp, text := a.ask(t, http.MethodPost, "/reload", "", token...); resp.StatusCode != http.StatusOK {
		t.Errorf("with the token: %s, %s", resp.Status, text)
	}
	if n := a.loads(t); n != 2 {
		t.Errorf("the policy was loaded %d times; want twice", n)
	}
	if err := os.WriteFile(a.policy, []byte("version: 1\nserver: [{use: authm}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, text := a.ask(t, http.MethodPost, "/reload", "", token...)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, "did you mean \\\"authn\\\"?") {
		t.Errorf("with a bad file: %s, %s", resp.Status, text)
	}
}

// Names with scripts are JSON that a browser does not show as a page.
func TestA05NamesWithScripts(t *testing.T) {
	a := administer(t)
	const script = "<script>alert(1)</script>"
	conn := must(grpc.NewClient(a.addr, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer conn.Close()
	err := conn.Invoke(t.Context(), "/a.B/"+script, &testpb.Request{}, &testpb.Response{})
	if status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	resp, text := a.ask(t, http.MethodGet, "/calls", "", "Authorization", "Bearer "+adminToken)
	if strings.Contains(text, "<") || !strings.Contains(text, "alert(1)") {
		t.Errorf("/calls has %s", text)
	}
	h := resp.Header
	if policy := h.Get("Content-Security-Policy"); h.Get("Content-Type") != "application/json" ||
		h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(policy, "default-src 'none'") ||
		strings.Contains(policy, "unsafe-inline") {
		t.Errorf("the header is %v", h)
	}
}
