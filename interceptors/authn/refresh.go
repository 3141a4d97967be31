package authn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/flight"
)

// Token is a token with the time when it expires.
type Token struct {
	Value   string
	Expires time.Time // zero: never
}

// RefreshConfig holds the settings of [NewRefresher]. The zero value has the defaults.
type RefreshConfig struct {
	// Ahead is how long before its expiry a token is fetched anew, at most half of its life. The
	// default, 0, is a tenth of its life, at most a minute.
	Ahead time.Duration
	// Timeout of a fetch. The default, 0, is 10 seconds.
	Timeout time.Duration
	// MinInterval is the time between a failed fetch and the next one, and between a fetch and
	// the next that a rejected token causes. Calls that need a token after a failed fetch end
	// with its error. The default, 0, is one second.
	MinInterval time.Duration
}

// Refresher is a source of a token that is fetched when it is needed, and again before it
// expires. Make it with [NewRefresher]. Safe for concurrent use.
//
// At most one fetch is in flight. Calls wait for it only if there is no valid token. It does not
// end with the call that began it, and its context has nothing of that call: neither values nor
// metadata, which interceptors of the connection would send, and which other calls do not have. There
// is no goroutine between fetches, and nothing to close.
type Refresher struct {
	fetch  func(context.Context) (Token, error)
	config RefreshConfig

	mu      sync.Mutex            // guards what follows
	token   Token                 // "" for none
	fetched time.Time             // when the token was fetched
	refresh time.Time             // when the token is fetched anew; zero: never
	flight  *flight.Flight[Token] // nil if no fetch is in flight
	failed  error                 // of the last fetch; nil if it succeeded
	retry   time.Time             // before it there is no fetch after a failure
}

// NewRefresher returns a source that gets its tokens from fetch, which must return when its
// context is done. A panic of fetch is an error of the fetch. The context has [RefreshConfig.Timeout],
// and none of the values of a call's context.
func NewRefresher(fetch func(context.Context) (Token, error), config RefreshConfig) *Refresher {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.MinInterval == 0 {
		config.MinInterval = time.Second
	}
	return &Refresher{fetch: fetch, config: config}
}

// Err returns what is wrong with the arguments of [NewRefresher], or nil.
func (r *Refresher) Err() error {
	var errs []error
	if r.fetch == nil {
		errs = append(errs, errors.New("the Refresher has no function that fetches; make it with authn.NewRefresher"))
	}
	c := r.config
	if c.Ahead < 0 || c.Timeout < 0 || c.MinInterval < 0 {
		errs = append(errs, fmt.Errorf("RefreshConfig has Ahead %v, Timeout %v and MinInterval %v; want none below 0",
			c.Ahead, c.Timeout, c.MinInterval))
	}
	return errors.Join(errs...)
}

// Token returns the token, which may be on its way to expiry, or waits for one until ctx is done.
func (r *Refresher) Token(ctx context.Context) (string, error) {
	token, f, err := r.current(time.Now())
	if f == nil {
		return token, err
	}
	fetched, err := f.Wait(ctx)
	return fetched.Value, err
}

// current returns the token if it is valid, or else the fetch to wait for, or else why there is
// neither. It begins a fetch if one is due.
func (r *Refresher) current(now time.Time) (string, *flight.Flight[Token], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(now)
}

// take is current with the lock.
func (r *Refresher) take(now time.Time) (string, *flight.Flight[Token], error) {
	valid := r.token.Value != "" && (r.token.Expires.IsZero() || now.Before(r.token.Expires))
	due := !valid || !r.refresh.IsZero() && !now.Before(r.refresh)
	if due {
		r.begin(now)
	}
	switch {
	case valid:
		return r.token.Value, nil, nil
	case r.flight != nil:
		return "", r.flight, nil
	default:
		return "", nil, r.failed
	}
}

// begin begins a fetch, unless one is in flight or has just failed. mu is locked.
func (r *Refresher) begin(now time.Time) {
	if r.flight == nil && !now.Before(r.retry) {
		r.flight = flight.New[Token]()
		go r.run(r.flight)
	}
}

func (r *Refresher) run(f *flight.Flight[Token]) {
	f.Run(r.get, func(how string) error { return errors.New("authn: the fetch of a token " + how) }, r.land)
}

// land ends a fetch.
func (r *Refresher) land(token Token, err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight, r.failed = nil, err
	if err != nil {
		r.retry = now.Add(r.config.MinInterval)
	} else {
		r.token, r.fetched, r.refresh = token, now, r.refreshAt(token, now)
	}
}

// get fetches a token that is not empty and has not expired.
func (r *Refresher) get() (Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.config.Timeout)
	defer cancel()
	token, err := r.fetch(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return Token{}, status.Errorf(codes.Unavailable, "no token within %v", r.config.Timeout)
	case err != nil:
		return Token{}, err
	case token.Value == "":
		return Token{}, errors.New("authn: the fetch of a token returned an empty one")
	case !token.Expires.IsZero() && !time.Now().Before(token.Expires):
		return Token{}, errors.New("authn: the fetch of a token returned an expired one")
	default:
		return token, nil
	}
}

// refreshAt returns when a token is fetched anew.
func (r *Refresher) refreshAt(token Token, now time.Time) time.Time {
	if token.Expires.IsZero() {
		return time.Time{}
	}
	life := token.Expires.Sub(now)
	ahead := min(r.config.Ahead, life/2)
	if ahead == 0 {
		ahead = min(life/10, time.Minute)
	}
	return token.Expires.Add(-ahead)
}

// Renew makes a token due, if it is the current one: a server may have rejected it. Token returns it until
// the fetch of its successor has succeeded, or until it expires. Renew returns the successor when that has
// arrived, or else the error of ctx or of the fetch, which goes on when ctx is done. A token that is younger
// than MinInterval is not due, and is returned as it is. So is the current one, if that is another.
func (r *Refresher) Renew(ctx context.Context, token string) (string, error) {
	current, f, err := r.renew(token, time.Now())
	if f == nil {
		return current, err
	}
	fetched, err := f.Wait(ctx)
	return fetched.Value, err
}

// renew returns the token to use, or the fetch to wait for, or why there is neither.
func (r *Refresher) renew(token string, now time.Time) (string, *flight.Flight[Token], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.token.Value != token:
		return r.take(now)
	case now.Sub(r.fetched) < r.config.MinInterval:
		return token, nil, nil
	}
	r.refresh = now
	r.begin(now)
	if r.flight == nil {
		return "", nil, r.failed
	}
	return "", r.flight, nil
}

// Invalidate removes a token, if it is the current one: a server has rejected it. The next call
// fetches another. Calls at the same time share that fetch. A token that is younger than
// MinInterval stays, since a server that rejects all tokens is no reason to fetch one for each call.
func (r *Refresher) Invalidate(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.token.Value == token && time.Since(r.fetched) >= r.config.MinInterval {
		r.token = Token{}
	}
}
