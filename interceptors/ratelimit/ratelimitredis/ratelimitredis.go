package ratelimitredis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/redisconn"
)

var (
	// ErrNoAnswer is found by errors.Is if the server did not answer in time.
	ErrNoAnswer = errors.New("ratelimitredis: no answer in time")
	// ErrClosed is found by errors.Is after Close.
	ErrClosed = errors.New("ratelimitredis: the store is closed")
)

// closing is the time for the permits that Close gives back.
const closing = time.Second

// Store is a ratelimit.Store in Redis or Valkey. Make it with [New]. Any number of interceptors may use
// it. Safe for concurrent use.
type Store struct {
	config     Config
	connection redisconn.Config
	err        error
	sha        string
	connector  *redisconn.Connector
	epoch      time.Time
	trips      atomic.Uint64

	mu      sync.Mutex           // guards what follows; locked inside that of leases
	holding map[*leases]struct{} // those that are not empty
	closed  bool
}

var _ ratelimit.Store = (*Store)(nil)

// New returns a store, and begins to connect to the server. ratelimit.New reports what is wrong with
// its configuration. Close it at the end.
func New(config Config, opts ...Option) *Store {
	s := &Store{
		config: config, connection: config.connection(), sha: shaOf(script), epoch: time.Now(),
		holding: make(map[*leases]struct{}),
	}
	nils := options.Apply(opts, func(o Option) { o.apply(s) })
	s.err = named(config.problems(s.connection), errors.Join(s.err, nils))
	if s.err == nil {
		s.connector = redisconn.Connect(s.connection)
	}
	return s
}

// named puts the name of the package before each line of what is wrong.
func named(problems []error, more error) error {
	var errs []error
	for _, err := range append(problems, more) {
		if err != nil {
			errs = append(errs, fmt.Errorf("ratelimitredis: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Open returns the quotas of the limits of an interceptor.
func (s *Store) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	switch {
	case s == nil || s.err == nil && s.connector == nil:
		return nil, errors.New("ratelimitredis: a nil or zero Store has no server; make one with ratelimitredis.New")
	case s.err != nil:
		return nil, s.err
	}
	q := &quotas{store: s, leases: &leases{store: s, held: make(map[*lease.Key]*holding)}}
	var errs []error
	seen := make(map[ratelimit.Limit]int)
	for i, l := range limits {
		x, err := newLimit(l, s.config.Name, seen[l], s.config.NoLeases)
		seen[l]++
		if err != nil {
			errs = append(errs, fmt.Errorf("ratelimitredis: limit %d, by %s: %w", i+1, l.Name, err))
			continue
		}
		if len(limits) > 1 || l.Joint {
			x.tag = tagOf(s.config.Name)
		}
		keys, err := s.newKeys(l)
		errs = append(errs, err)
		q.limits, q.keys = append(q.limits, x), append(q.keys, keys)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return q, nil
}

// hold keeps leases for Close, unless the store is closed.
func (s *Store) hold(x *leases) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.holding[x] = struct{}{}
	}
	return !s.closed
}

// release forgets leases that are empty.
func (s *Store) release(x *leases) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holding, x)
}

// keys are what a node knows of the keys of a limit, and of peers.
type keys [2]*keyed.Map[lease.Key]

func (s *Store) newKeys(l ratelimit.Limit) (k keys, err error) {
	most := s.config.MaxKeys
	if most == 0 {
		most = DefaultMaxKeys
	}
	// An answer loses its value after a second, a lease after 1/100 of the period.
	config := keyed.Config{MaxKeys: most, Idle: 2*time.Second + l.Per/50}
	for i := range k {
		if k[i], err = keyed.New[lease.Key](config, nil); err != nil {
			return k, err
		}
	}
	return k, nil
}

// RoundTrips returns how many requests were sent to the server. Safe for concurrent use.
func (s *Store) RoundTrips() uint64 { return s.trips.Load() }

// Close gives back the permits that are leased, for at most a second, and closes the connections. Quotas of
// the store then return errors.
func (s *Store) Close() error {
	if s == nil || s.connector == nil {
		return nil
	}
	s.mu.Lock()
	holding, closed := s.holding, s.closed
	s.holding, s.closed = nil, true
	s.mu.Unlock()
	if closed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	for x := range holding {
		x.close(ctx)
	}
	s.connector.Close()
	return nil
}

func (s *Store) clock() time.Duration { return time.Since(s.epoch) }

// work is a request that waits for its answer, on a separate goroutine.
type work struct {
	request *request
	land    func(answers []lease.Answer, err error, needed bool)

	mu   sync.Mutex // guards the following fields
	left bool       // the caller has left
	done chan struct{}
	err  error
}

// do sends a request and waits for its answer until the end of p. land is called once with the outcome, also
// after the caller has left.
func (s *Store) do(p *patience, w *work) error {
	w.done = make(chan struct{})
	if s.connector.Reserve(p.ctx) != nil {
		err := p.cause()
		if errors.Is(err, errLate) {
			most := redisconn.MaxRequests
			err = fmt.Errorf("%w: %d requests to %s wait for an answer", ErrNoAnswer, most, s.connector.Name())
		}
		w.land(nil, err, false)
		return err
	}
	go s.perform(w)
	if err := p.await(w.done); err != nil {
		return w.leave(s.explainWait(err))
	}
	return w.err
}

// leave returns the outcome if there is one, or err.
func (w *work) leave(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	default:
		w.left = true
		return err
	}
}

func (s *Store) perform(w *work) {
	answers, err := s.ask(w.request)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	defer close(w.done)
	w.land(answers, err, !w.left)
}

// ask sends a request, for which there is a place, to the server.
func (s *Store) ask(r *request) ([]lease.Answer, error) {
	answers, err := redisconn.Run(s.connector, func() ([]lease.Answer, error) {
		client, err := s.connector.Client(context.Background())
		if err != nil {
			return nil, err
		}
		s.trips.Add(1)
		return r.run(client, s.sha)
	})
	if err != nil {
		return nil, s.connector.Explain(err)
	}
	return answers, nil
}
