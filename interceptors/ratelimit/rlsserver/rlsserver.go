package rlsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/guard"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

const name = "rlsserver"

// Server implements the rate limit service. Make it with [New]. It is safe for concurrent use and has
// no goroutines.
type Server struct {
	rlsv3.UnimplementedRateLimitServiceServer

	clock func() time.Duration
	store ratelimit.Store
	log   *slog.Logger
	guard atomic.Pointer[guard.Guard] // nil without a store
	err   error

	changing sync.Mutex // held while state is replaced
	state    atomic.Pointer[state]
	taking   sync.Mutex // held while permits are taken in memory

	unknown       atomic.Uint64
	malformed     atomic.Uint64
	failed        atomic.Uint64
	storeFailures atomic.Uint64
}

// New returns a server, or everything that is wrong with its configuration.
func New(config Config, opts ...Option) (*Server, error) {
	s := &Server{clock: quota.Clock(nil), log: slog.Default()}
	nils := options.Apply(opts, func(o Option) { o.apply(s) })
	if err := errors.Join(s.err, nils); err != nil {
		return nil, fmt.Errorf("rlsserver: %w", err)
	}
	if err := s.Reload(config); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload replaces the configuration. Limits with the same domain, keys, values and figures keep their
// quotas and counts; their name and mode may differ. If something is wrong with the new
// configuration, the old one remains in force. Requests under way are decided by either.
func (s *Server) Reload(config Config) error {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return fmt.Errorf("rlsserver: %w", err)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	old := s.state.Load()
	next, err := s.build(config, old)
	if err != nil {
		return fmt.Errorf("rlsserver: %w", err)
	}
	if s.store != nil && (old == nil || old.config.Shared != config.Shared) {
		s.guard.Store(guard.New(guard.Config{
			Name: name, Mode: config.Shared.Fail.String(), Timeout: config.Shared.Timeout,
			RetryStore: config.Shared.RetryStore, Clock: s.clock, Log: s.log, Failures: &s.storeFailures,
		}))
	}
	s.state.Store(next)
	return nil
}

// ShouldRateLimit decides on a request.
func (s *Server) ShouldRateLimit(
	ctx context.Context, req *rlsv3.RateLimitRequest,
) (*rlsv3.RateLimitResponse, error) {
	asked, err := parse(req)
	if err != nil {
		s.malformed.Add(1)
		return nil, err
	}
	st, demands, err := s.resolve(req.GetDomain(), asked)
	if err == nil {
		err = s.decide(ctx, st, demands)
	}
	if err != nil {
		s.failed.Add(1)
		return nil, err
	}
	return answer(st, demands), nil
}

// demand is a descriptor of a request with its limit and the decision on it.
type demand struct {
	*question

	rule      *rule // nil if no limit counts
	key       []byte
	unknown   bool
	unlimited bool
	blocked   bool // a limit of 0
	ratelimit.Decision
}

// enforced reports whether the request depends on the decision.
func (d *demand) enforced() bool { return d.rule != nil && d.rule.Mode == Enforce }

// resolve returns the limits of all descriptors, of one state.
func (s *Server) resolve(domain string, asked []question) (*state, []demand, error) {
	for range len(asked) + 2 {
		st := s.state.Load()
		demands, missing, err := s.match(st, domain, asked)
		if err != nil {
			return nil, nil, err
		}
		if missing == nil {
			for i := range demands {
				if demands[i].unknown {
					s.unknown.Add(1)
				}
			}
			return st, demands, nil
		}
		if err := s.addOverride(*missing); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, status.Error(codes.Unavailable, "the limits are being reloaded")
}

// match returns the demands of a request, or a limit that it carries and the state does not have
// yet.
func (s *Server) match(st *state, domain string, asked []question) (all []demand, missing *quota.Limit, err error) {
	root := st.domains[domain]
	all = make([]demand, len(asked))
	for i := range asked {
		d := &all[i]
		d.question, d.Decision = &asked[i], ratelimit.Decision{OK: true}
		carried := d.limit != nil && st.config.Overrides && root != nil
		switch n := root.findIn(d.entries); {
		case carried && d.limit.Permits == 0:
			d.blocked, d.Decision = true, ratelimit.Decision{RetryAfter: d.limit.Per, ResetAfter: d.limit.Per}
		case carried:
			q := *d.limit
			q.Algorithm = quota.Algorithm(st.config.OverrideAlgorithm)
			if d.rule = st.overrides[q]; d.rule == nil {
				return nil, &q, nil
			}
			d.key = appendKey(appendText(nil, domain), d.entries, true)
		case n != nil && n.unlimited:
			d.unlimited = true
		case n != nil && n.rule != nil:
			d.rule, d.key = n.rule, appendKey(nil, d.entries, false)
		default:
			d.unknown = true
			if st.config.Unknown == FailUnknown {
				s.unknown.Add(1)
				return nil, nil, status.Errorf(codes.NotFound,
					"no limit for descriptor %d in the domain %q", i+1, domain)
			}
		}
	}
	return all, nil, nil
}

// findIn is find for a domain that may be unknown.
func (n *node) findIn(entries []entry) *node {
	if n == nil {
		return nil
	}
	return n.find(entries)
}
