package authnjwt

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Revocation names a token by its ID, or all tokens of a subject.
type Revocation struct {
	// Issuer is the "iss" of the tokens. "" is every issuer.
	Issuer string
	// ID is the "jti" of a token. Set either ID or Subject.
	ID string
	// Subject is the subject of tokens: Identity.Subject, or "sub" if that is another claim.
	Subject string
	// Until is when the revocation may be forgotten, such as the time when the token expires.
	// Zero is never.
	Until time.Time
}

// Revocations is a list of revoked tokens and subjects. The zero value is empty and ready for
// use. Safe for concurrent use.
//
// A change of the list applies at once: to the next call, and to open streams, which end
// with UNAUTHENTICATED, "Token revoked". It costs each validator with the list a look at its kept
// tokens and those of its open calls. It reaches copies of an Identity that have its Revoked, too.
type Revocations struct {
	mu       sync.RWMutex
	revoked  map[Revocation]time.Time // without its Until
	forget   int                      // the number of entries above which prune looks at all
	watchers []*watcher               // the slice does not change
}

// watcher is called after additions to a list, until it is unused.
type watcher struct {
	changed func()
	unused  func() bool
}

// Revoke adds to the list. It adds nothing, and returns an error, if one of the revocations has
// neither an ID nor a Subject, or both.
func (r *Revocations) Revoke(list ...Revocation) error {
	return r.change(list, func() {
		if r.revoked == nil {
			r.revoked = make(map[Revocation]time.Time)
		}
	})
}

// Replace makes list the whole list. It changes nothing, and returns an error, as Revoke does.
// Streams that have ended do not come back.
func (r *Revocations) Replace(list []Revocation) error {
	return r.change(list, func() { r.revoked, r.forget = make(map[Revocation]time.Time, len(list)), 0 })
}

// change adds to the list after prepare, which runs with mu.
func (r *Revocations) change(list []Revocation, prepare func()) error {
	for i, entry := range list {
		if (entry.ID == "") == (entry.Subject == "") {
			return fmt.Errorf("authnjwt: revocation %d of %d has ID %q and Subject %q; want one of them",
				i+1, len(list), entry.ID, entry.Subject)
		}
	}
	r.mu.Lock()
	prepare()
	for _, entry := range list {
		r.add(entry)
	}
	r.prune()
	r.mu.Unlock()
	r.notify()
	return nil
}

// add adds an entry, or prolongs it. The caller holds mu.
func (r *Revocations) add(entry Revocation) {
	until := entry.Until
	entry.Until = time.Time{}
	if old, has := r.revoked[entry]; has && (old.IsZero() || !until.IsZero() && until.Before(old)) {
		until = old
	}
	r.revoked[entry] = until
}

// prune removes the entries that may be forgotten, whenever the list has doubled. The caller
// holds mu.
func (r *Revocations) prune() {
	if len(r.revoked) <= r.forget {
		return
	}
	now := time.Now()
	for entry, until := range r.revoked {
		if !until.IsZero() && !now.Before(until) {
			delete(r.revoked, entry)
		}
	}
	r.forget = max(1024, 2*len(r.revoked))
}

// Len returns the number of entries.
func (r *Revocations) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.revoked)
}

// has reports whether the list names a token of one of these issuers.
func (r *Revocations) has(issuers []string, t names) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.revoked) == 0 {
		return false
	}
	for _, iss := range issuers {
		for _, entry := range []Revocation{
			{Issuer: iss, ID: t.jti}, {Issuer: iss, Subject: t.subject}, {Issuer: iss, Subject: t.sub},
		} {
			if _, has := r.revoked[entry]; has {
				return true
			}
		}
	}
	return false
}

// watch calls a watcher after each addition.
func (r *Revocations) watch(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.inUse(), w)
}

func (r *Revocations) notify() {
	r.mu.Lock()
	r.watchers = r.inUse()
	watchers := r.watchers
	r.mu.Unlock()
	for _, w := range watchers {
		w.changed()
	}
}

// inUse returns a new slice of the watchers that are in use. The caller holds mu.
func (r *Revocations) inUse() []*watcher {
	var used []*watcher
	for _, w := range r.watchers {
		if !w.unused() {
			used = append(used, w)
		}
	}
	return used
}

// Limits of a file.
const (
	maxRevocations     = 1 << 20 // lines
	maxRevocationBytes = 64 << 20
)

// ParseRevocations parses a list of revocations, one a line:
//
//	# a comment
//	jti 7d2c4a10-6a8e-4c0e-9a53-f1f3a1c0b3d2
//	sub alice
//	iss https://issuer.example sub bob
//	iss https://issuer.example jti 42
//
// "jti" revokes the token with that ID, "sub" all tokens of that subject, and "iss" limits either
// to an issuer. Words are separated by one space; an ID or a subject is the rest of its line,
// spaces included. Empty lines and those that begin with "#" are ignored; so is a carriage
// return at the end of a line. The text is UTF-8, with at most 1,048,576 lines.
func ParseRevocations(text []byte) ([]Revocation, error) {
	if bytes.Count(text, []byte("\n")) > maxRevocations {
		return nil, fmt.Errorf("it has more than %d lines", maxRevocations)
	}
	var list []Revocation
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, ok := parseRevocation(line)
		if !ok {
			return nil, fmt.Errorf(`line %d is %s; want "jti ID", "sub SUBJECT", or one of them after "iss ISSUER "`,
				number, quoted(line))
		}
		list = append(list, entry)
	}
	return list, nil
}

func parseRevocation(line string) (entry Revocation, ok bool) {
	word, rest, _ := strings.Cut(line, " ")
	if word == "iss" {
		entry.Issuer, rest, _ = strings.Cut(rest, " ")
		if entry.Issuer == "" {
			return entry, false
		}
		word, rest, _ = strings.Cut(rest, " ")
	}
	switch word {
	case "jti":
		entry.ID = rest
	case "sub":
		entry.Subject = rest
	}
	return entry, rest != "" && (entry.ID != "" || entry.Subject != "") && strings.ToValidUTF8(line, "") == line
}
