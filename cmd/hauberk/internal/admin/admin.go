package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof" // served to requests with the token; http.DefaultServeMux is not served
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
)

// listener is that of the flag --admin. Profiles may take as long as the answers.
//
//nolint:gochecknoglobals // never written
var listener = web.Listener{
	Flag: "admin", Serves: "the admin listener", Example: "127.0.0.1:9901", AnswerTime: 2 * time.Minute,
}

// Flags are the flags of the listener.
//
//nolint:recvcheck // Add sets the fields
type Flags struct {
	Address   string // host:port; "" serves nothing
	TokenFile string
	TLS       web.TLS
}

// Add adds the flags.
func (f *Flags) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Address, listener.Flag, "",
		"serve /config, /calls, /reload and profiles on this address, host:port (default: not served)")
	flags.StringVar(&f.TokenFile, "admin-token-file", "", fmt.Sprintf(
		"file with the token that requests to --admin need, %d characters or more (default: see ADMIN)", MinToken))
	f.TLS.Add(flags, listener.Flag)
}

// Resolve returns the address, or nil if there is none. An address that other machines can reach needs a token, and TLS
// or insecure.
func (f Flags) Resolve(ctx context.Context, insecure bool) (*net.TCPAddr, error) {
	if f.Address == "" && f.TokenFile != "" {
		return nil, fmt.Errorf("--admin-token-file needs --admin; want an address such as %s", listener.Example)
	}
	addr, err := listener.Resolve(ctx, f.Address, f.TLS, insecure)
	if err == nil && addr != nil && !addr.IP.IsLoopback() && f.TokenFile == "" {
		return nil, fmt.Errorf("--admin %q is open to other machines; want --admin-token-file, or a loopback address "+
			"such as 127.0.0.1:%d", f.Address, addr.Port)
	}
	return addr, err
}

// Sources are what the listener serves. All must be safe for concurrent use.
type Sources struct {
	// Config returns the answer of /config.
	Config func() any
	// Calls has the rejected calls.
	Calls *Calls
	// Reload reads the policy file. It returns the answer of /reload, and whether the file is in force.
	Reload func() (answer any, ok bool)
	// Failed receives problems of the file with the token, and nil when it is good again.
	Failed func(error)
}

// Server serves the admin listener. Use [Listen] to create one.
type Server struct {
	*web.Server

	host   string // of --admin
	token  *tokenFile
	origin *http.CrossOriginProtection
}

// Listen serves the sources at an address until Close is called. It returns nil if the address is nil.
func Listen(at *net.TCPAddr, flags Flags, from Sources) (*Server, error) {
	if at == nil {
		return nil, nil //nolint:nilnil // the caller checks for nil
	}
	token, err := openToken(flags.TokenFile, from.Failed)
	if err != nil {
		return nil, err
	}
	s := &Server{token: token, origin: http.NewCrossOriginProtection()}
	s.host, _, _ = net.SplitHostPort(flags.Address)
	ready := make(chan struct{})
	handler := s.handler(from)
	s.Server, err = listener.Listen(at, flags.TLS, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ready // s.Server is set
		handler.ServeHTTP(w, r)
	}))
	close(ready)
	if err != nil {
		s.closeToken()
		return nil, err
	}
	return s, nil
}

// URL returns the URL of the listener.
func (s *Server) URL() string { return s.Server.URL("/") }

// Close stops the server. It waits for running requests for at most one second.
func (s *Server) Close() error {
	defer s.closeToken()
	return s.Server.Close()
}

func (s *Server) closeToken() {
	if s.token != nil {
		s.token.Close()
	}
}

// handler returns the routes behind the checks.
func (s *Server) handler(from Sources) http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, from.Config())
	})
	routes.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, from.Calls.recent())
	})
	routes.HandleFunc("POST /reload", s.withToken(func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		result, ok := from.Reload()
		if !ok {
			status = http.StatusUnprocessableEntity
		}
		answer(w, status, result)
	}))
	routes.HandleFunc("GET /debug/pprof/", s.withToken(pprof.Index))
	routes.HandleFunc("GET /debug/pprof/cmdline", s.withToken(pprof.Cmdline))
	routes.HandleFunc("GET /debug/pprof/profile", s.withToken(pprof.Profile))
	routes.HandleFunc("GET /debug/pprof/symbol", s.withToken(pprof.Symbol))
	routes.HandleFunc("GET /debug/pprof/trace", s.withToken(pprof.Trace))
	all := http.NewServeMux()
	all.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	all.Handle("/", s.checked(routes))
	return all
}

// withToken serves a route only if there is a token, which checked has compared.
func (s *Server) withToken(route http.HandlerFunc) http.HandlerFunc {
	if s.token != nil {
		return route
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		reject(w, http.StatusForbidden, "this needs a token; want --admin-token-file")
	}
}

// checked passes requests on that may be served.
func (s *Server) checked(routes http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		switch {
		case !s.knownHost(r.Host):
			reject(w, http.StatusForbidden, "the name in Host is not one of this listener; want its IP address")
		case s.origin.Check(r) != nil:
			reject(w, http.StatusForbidden, "the request is from another origin")
		case s.token != nil && !s.token.Get().permits(r):
			header.Set("WWW-Authenticate", `Bearer realm="hauberk"`)
			reject(w, http.StatusUnauthorized,
				"Authorization is not that of --admin-token-file; want Bearer and the token")
		default:
			routes.ServeHTTP(w, r)
		}
	})
}

// knownHost reports whether a host cannot be the name of a web site that resolves to this listener.
func (s *Server) knownHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || host != "" && strings.EqualFold(host, s.host) ||
		s.VerifyName(host) == nil
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) //nolint:errchkjson // the types are of this program; else the client has gone
}

// reject writes why a request is not served.
func reject(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}
