package sidecar

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/sdnotify"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// openPolicy opens the policy file. Interceptors log to out and export telemetry to the providers.
func (s *sidecar) openPolicy(out io.Writer) (*policy, error) {
	for _, line := range s.from {
		s.sayf("%s", line)
	}
	logger := slog.New(slog.NewJSONHandler(out, nil))
	reports := &reports{path: s.config, described: s.describes(), sayf: s.sayf, decoded: &s.decoded}
	opts := []policyfile.Option{
		policyfile.WithLogger(logger), policyfile.WithListener(reports.loaded), policyfile.WithCheck(s.fits),
	}
	if s.providers.Tracer != nil {
		opts = append(opts,
			policyfile.WithTracerProvider(s.providers.Tracer), policyfile.WithPropagator(s.providers.Propagator))
	}
	if s.providers.Meter != nil {
		opts = append(opts, policyfile.WithMeterProvider(s.providers.Meter))
	}
	if services := s.upstreamHas.services(); services != nil {
		opts = append(opts, policyfile.WithServices(services...), policyfile.WithClientServices(services...))
	}
	if s.describes() {
		opts = append(opts, policyfile.WithTypes(&s.upstreamHas))
	}
	if s.rejected != nil {
		opts = append(opts, policyfile.WithOutermost(s.rejected))
	}
	file, err := policyfile.Open(s.config, opts...)
	if err != nil {
		return nil, err
	}
	for _, note := range notes(file.Policy(), s.describes()) {
		s.sayf("%s", note)
	}
	reports.begin(file)
	return &policy{file: file, logger: logger, forward: s.newForward(s.providers)}, nil
}

// describes reports whether there are, or will be, descriptors of the upstream's services.
func (o *options) describes() bool { return o.descriptorsFile != "" || o.reflection }

// fits returns an error if a policy needs what the sidecar does not do.
func (s *sidecar) fits(p *policyfile.Policy) error {
	if err := checkClient(p); err != nil {
		return err
	}
	if !s.describes() {
		return checkMessages(p)
	}
	s.decoded.prepare(p)
	return nil
}

// reports writes to stderr what became of each load of the policy file after the first one.
type reports struct {
	path      string
	described bool // there are, or will be, descriptors of the upstream's services
	decoded   *messages
	sayf      func(format string, args ...any)

	mu    sync.Mutex           // guards the fields below
	file  *policyfile.File     // nil before begin
	start []policyfile.Setting // gateway as it is in force
	loads int64                // of the last good state
}

func (r *reports) begin(file *policyfile.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.start, r.loads = file, file.Policy().Gateway().Settings(), file.State().Loads
	r.decoded.follow(file.Policy())
}

// loaded reports one load.
func (r *reports) loaded(state policyfile.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return
	}
	r.decoded.follow(r.file.Policy())
	if state.Err != nil {
		for line := range strings.SplitSeq(state.Err.Error(), "\n") {
			r.sayf("%s", line)
		}
		r.sayf("not reloaded; the policy remains as it was")
		return
	}
	if state.Loads == r.loads {
		r.sayf("%s is again the policy in force", r.path)
		return
	}
	r.loads = state.Loads
	p := r.file.Policy()
	for _, key := range changed(r.start, p.Gateway().Settings()) {
		r.sayf("gateway.%s has changed; it is in force after a restart", key)
	}
	for _, note := range notes(p, r.described) {
		r.sayf("%s", note)
	}
	r.sayf("reloaded %s", r.path)
}

// reload reads the file again, and reports the reload to systemd. It returns why the file is not in force. Safe for
// concurrent use.
func (s *sidecar) reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if state, err := sdnotify.Reloading(); err == nil {
		s.notify(state)
	}
	err := s.policy.file.Reload()
	s.notify(sdnotify.Ready)
	return err
}

// changed returns the keys of gateway that differ.
func changed(old, next []policyfile.Setting) (keys []string) {
	values := func(of []policyfile.Setting) map[string]string {
		all := make(map[string]string, len(of))
		for _, s := range of {
			all[s.Key] = s.Value
		}
		return all
	}
	a, b := values(old), values(next)
	for key, value := range a {
		if now, ok := b[key]; !ok || now != value {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// identityMetadata are the names in which proxies usually write the identity or the address of a caller. The address
// is in x-forwarded-for instead, which the gateway writes.
//
//nolint:gochecknoglobals // never written
var identityMetadata = []string{
	"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username",
	"x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username",
	"x-remote-user", "x-remote-group", "remote-user", "x-user", "x-user-id", "x-tenant", "x-tenant-id",
	"x-authenticated-user", "x-forwarded-client-cert", "x-client-cert", "x-jwt-payload",
	"x-goog-authenticated-user-email", "x-goog-authenticated-user-id",
	"forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip",
}

// stripped returns the names of metadata that clients cannot send.
func (o *options) stripped() []string {
	names := slices.Clone(o.strip)
	if names == nil {
		names = slices.Clone(identityMetadata)
	}
	for _, name := range o.identity {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(metadatakey.Spelling(a), metadatakey.Spelling(b))
	})
	return slices.Compact(names)
}
