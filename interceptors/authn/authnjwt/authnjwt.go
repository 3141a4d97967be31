package authnjwt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"weak"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// Validator verifies JSON Web Tokens. Make it with [New]. It is a method of authn.New. Safe for
// concurrent use; it may be used by any number of interceptors at once.
type Validator struct {
	config   Config
	now      func() time.Time
	ownClock bool // WithClock was given
	client   *http.Client
	logger   *slog.Logger
	errs     []error
	paths    claimPaths

	given  []string // the options that give keys
	static []*key   // their keys
	lists  []*Revocations

	issuers []string // that a revocation may name for a token: "" is every one

	keys  keyring
	fetch *remote // nil unless keys are fetched
	cache *tokencache.Cache[string, *verified]
	live  *liveTokens
	close []func()
}

var _ authn.Credential = (*Validator)(nil)

// New returns a method for the tokens of one issuer. hauberk.New reports what is wrong with the
// arguments, and a file that cannot be read. A validator whose keys or revocations come from a file or a URL
// must be closed.
func New(config Config, options ...Option) *Validator {
	v := &Validator{config: config.withDefaults(), now: time.Now, logger: slog.Default(), live: new(liveTokens)}
	for _, o := range options {
		if o != nil {
			o.apply(v)
		}
	}
	v.issuers = append([]string{"", v.config.Issuer}, v.config.IssuerAliases...)
	if v.logger != nil {
		v.logger = slog.New(guarded{v.logger.Handler()})
	}
	v.check()
	if len(v.errs) > 0 {
		return v
	}
	if v.config.CachedTokens > 0 {
		v.cache = tokencache.New[string, *verified](v.config.CachedTokens)
	}
	if err := errors.Join(v.openKeys(), v.openRevocations()); err != nil {
		v.failf("%w", err)
		v.Close()
	}
	return v
}

// Name returns "jwt", which is also the Method of identities.
func (*Validator) Name() string { return "jwt" }

// Credential returns "authorization".
func (*Validator) Credential() string { return "authorization" }

// JudgesExpiry reports whether tokens are judged by the clock of package time: without [WithClock].
func (v *Validator) JudgesExpiry() bool { return !v.ownClock }

// Issuers returns Config.Issuer and Config.IssuerAliases. Another validator for one of them, in the same
// interceptor, would judge none of its tokens: hauberk.New reports it.
func (v *Validator) Issuers() []string { return slices.Clone(v.issuers[min(1, len(v.issuers)):]) }

// Err returns what is wrong with the arguments of [New].
func (v *Validator) Err() error { return errors.Join(v.errs...) }

// Close ends the goroutines and timers of the validator, and waits for them. Calls go on with the
// last good keys, and with the last revocations of the file; fetched keys grow too old in time. Lists
// of [WithRevocations] go on to apply, to open streams, too.
func (v *Validator) Close() {
	for _, c := range v.close {
		c()
	}
}

// Authenticate returns the identity of the call's bearer token. See [authn.Method].
func (v *Validator) Authenticate(ctx context.Context, call *hauberk.Call) (*authn.Identity, error) {
	// A token that is kept was well-formed: comparing it is faster than a look at each byte.
	if values := call.Metadata(ctx, "authorization"); len(values) == 1 {
		if token, ok := strings.CutPrefix(values[0], "Bearer "); ok {
			if id := v.kept(token, v.now()); id != nil {
				return id, nil
			}
		}
	}
	token, err := authn.BearerToken(ctx, call)
	if err != nil {
		return nil, err
	}
	return v.Validate(ctx, token)
}

// Validate returns the identity of a token. It is an authn.Validator, for tokens that do not come
// from the metadata of a call. It waits, at most until ctx is done, only if keys must be fetched
// first.
func (v *Validator) Validate(ctx context.Context, token string) (*authn.Identity, error) {
	if len(v.errs) > 0 {
		return nil, v.Err()
	}
	if id := v.kept(token, v.now()); id != nil {
		return id, nil
	}
	p, err := v.parse(token)
	if err != nil {
		return nil, err
	}
	t, err := v.verify(ctx, token, p)
	if err != nil {
		return nil, err
	}
	if err := v.admit(t); err != nil {
		return nil, err
	}
	v.cache.Put(token, t, t.identity.Expires)
	return &t.identity, nil
}

// kept returns the identity of a token that was verified before and is still good, or nil.
func (v *Validator) kept(token string, now time.Time) *authn.Identity {
	t, ok := v.cache.Get(token, now)
	if !ok || t.key.gone.Load() || t.isRevoked() || v.keys.current(now) == nil {
		return nil
	}
	return &t.identity
}

// verify finds the key of a token, and judges what is signed.
func (v *Validator) verify(ctx context.Context, token string, p *parsed) (*verified, error) {
	k, payload, err := v.signer(ctx, token, &p.head)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(payload, p.payload) { // cannot be: both decoders are strict
		return nil, invalid(ErrMalformed, "the payload was decoded in two ways")
	}
	t, err := v.judge(p, v.now())
	if err != nil {
		return nil, err
	}
	t.key = k
	v.logMissing(ctx, "RolesClaim", v.paths.roles, p.claims)
	v.logMissing(ctx, "TenantClaim", v.paths.tenant, p.claims)
	return t, nil
}

// signer returns the key that signed a token, and what it signed. If none of the keys did, they may
// have been rotated, with a new "kid", the same or none: they are fetched again, within limits.
func (v *Validator) signer(ctx context.Context, token string, h *head) (*key, []byte, error) {
	set, err := v.usable(ctx)
	if err != nil {
		return nil, nil, err
	}
	k, payload, err := set.verify(token, h)
	if v.fetch == nil || !errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrSignature) {
		return k, payload, err
	}
	if fetched, ended := v.fetch.waitFor(ctx); !fetched {
		return nil, nil, cmp.Or(ended, err)
	}
	if set = v.keys.current(v.now()); set == nil {
		return nil, nil, errTooOld
	}
	return set.verify(token, h)
}

var errTooOld = fmt.Errorf("%w: they are too old", ErrKeys)

// usable returns the keys in force. Without any it waits for the fetch of them.
func (v *Validator) usable(ctx context.Context) (*keySet, error) {
	set := v.keys.current(v.now())
	if set == nil && v.fetch != nil {
		if err := v.fetch.wait(ctx); err != nil {
			return nil, err
		}
		set = v.keys.current(v.now())
	}
	if set == nil {
		return nil, errTooOld
	}
	return set, nil
}

// admit makes a token revocable, and rejects it if it was revoked.
func (v *Validator) admit(t *verified) error {
	if len(v.lists) == 0 {
		return nil
	}
	// Before the lists are read: what is added to one meanwhile finds the token.
	t.identity.Revoked = v.live.add(t.names)
	for _, list := range v.lists {
		if list.has(v.issuers, t.names) {
			return fmt.Errorf("%w: jti %s of %s", authn.ErrTokenRevoked, quoted(t.jti), quoted(t.subject))
		}
	}
	return nil
}

// openRevocations opens the file, and watches the lists.
func (v *Validator) openRevocations() error {
	if path := v.config.RevocationsFile; path != "" {
		list := new(Revocations)
		_, err := open(v, "revocations", path, maxRevocationBytes, ParseRevocations, func(entries []Revocation) {
			_ = list.Replace(entries) // a file has no wrong entries
		})
		if err != nil {
			return err
		}
		v.lists = append(v.lists, list)
	}
	// The lists refer to the tokens, not to the validator, and to no more once neither is in use.
	owner, live, issuers := weak.Make(v), v.live, v.issuers
	for _, list := range v.lists {
		list.watch(&watcher{
			changed: func() { live.revokeNamed(list, issuers) },
			unused:  func() bool { return owner.Value() == nil && live.unused() },
		})
	}
	return nil
}
