package authnjwt

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// keyring has the keys in force. mu orders replacements; readers take none.
type keyring struct {
	mu    sync.Mutex
	state atomic.Pointer[inForce]
}

// inForce is a set of keys, and until when it may be used. It does not change.
type inForce struct {
	set   *keySet
	until time.Time // zero: for ever
}

// current returns the keys that may be used at a time, or nil.
func (r *keyring) current(now time.Time) *keySet {
	state := r.state.Load()
	if state == nil || !state.until.IsZero() && !now.Before(state.until) {
		return nil
	}
	return state.set
}

// replace makes set the keys in force until a time, and returns whether they differ from earlier
// ones. Tokens that were verified with a key that is gone are verified again.
func (r *keyring) replace(set *keySet, until time.Time) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var before *keySet
	if state := r.state.Load(); state != nil {
		before = state.set
	}
	next, gone := set.replace(before)
	r.state.Store(&inForce{next, until})
	for _, k := range gone {
		k.gone.Store(true)
	}
	return before != nil && (len(gone) > 0 || len(next.keys) != len(before.keys))
}

// addStatic adds a key of an option.
func (v *Validator) addStatic(public crypto.PublicKey, id *string, algorithm string) {
	k, err := newKey(public, id, algorithm)
	if err != nil {
		name := "without kid"
		if id != nil {
			name = fmt.Sprintf("%q", *id)
		}
		v.failf("%s has the key %s: %w", v.given[len(v.given)-1], name, err)
		return
	}
	v.static = append(v.static, k)
}

// openKeys opens the source of the keys.
func (v *Validator) openKeys() error {
	c := v.config
	switch {
	case c.JWKSFile != "":
		return v.openFile(c.JWKSFile, parseKeySet(c.Refresh.MaxKeys))
	case c.SecretFile != "":
		return v.openFile(c.SecretFile, parseSecret(c.Algorithms))
	case c.JWKSURL != "" || c.Discovery:
		var err error
		if v.fetch, err = newRemote(v); err == nil {
			v.close = append(v.close, v.fetch.close)
		}
		return err
	default:
		set := &keySet{keys: v.static}
		if err := v.checkUsable(v.given[0], set); err != nil {
			return err
		}
		v.keys.replace(set, time.Time{})
		return nil
	}
}

func (v *Validator) openFile(path string, parse func([]byte) (*keySet, error)) error {
	file, err := open(v, "keys", path, v.config.Refresh.MaxBytes, parse, func(set *keySet) {
		v.logKeys(set, v.keys.replace(set, time.Time{}))
	})
	if err != nil {
		return err
	}
	return v.checkUsable(path, file.Get())
}

// checkUsable wants a key for at least one of the algorithms.
func (v *Validator) checkUsable(source string, set *keySet) error {
	for _, k := range set.keys {
		if slices.ContainsFunc(v.config.Algorithms, k.fits) {
			return nil
		}
	}
	var kinds []string
	for _, k := range set.keys {
		kinds = append(kinds, k.kind())
	}
	text := fmt.Sprintf("%s has %d keys, and none for the algorithms %v", source, len(set.keys), v.config.Algorithms)
	if len(kinds) > 0 {
		text += ": " + strings.Join(first(kinds, 3), ", ")
	}
	if len(set.skipped) > 0 {
		text += fmt.Sprintf("; %d were left out: %q", len(set.skipped), first(set.skipped, 3))
	}
	return errors.New(text)
}

// logKeys logs that the keys have changed.
func (v *Validator) logKeys(set *keySet, changed bool) {
	if !changed {
		return
	}
	v.logger.LogAttrs(context.Background(), slog.LevelInfo, "authnjwt: the keys have changed",
		slog.String("issuer", v.config.Issuer), slog.Int("keys", len(set.keys)),
		slog.Any("left_out", first(set.skipped, 10)))
}
