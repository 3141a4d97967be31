package policy_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/internal/filesaves"
	"github.com/hauberk-rpc/hauberk/policy"
)

// withDomain is a policy that a test recognizes by its error domain.
func withDomain(domain string) string {
	return "version: 1\nrequire_end: true\nerror_domain: " + domain + `
server:
  - use: rate_limit
    id: once
    limit: 1/1h
client:
  - use: deadline
    max: 30s
...
`
}

// opened is a policy that follows its file.
type opened struct {
	*policy.File

	path   string
	states chan policy.State
	log    *safeBuffer
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.String(), text)
}

// open writes a policy into a new folder and opens it. It ends with the test.
func open(t *testing.T, text string, opts ...policy.Option) *opened {
	t.Helper()
	hauberktest.CheckLeaks(t)
	o := &opened{
		path: filepath.Join(t.TempDir(), "policy.yaml"), states: make(chan policy.State, 100), log: new(safeBuffer),
	}
	put(t, o.path, text)
	f, err := policy.Open(o.path, append(opts,
		policy.WithListener(func(s policy.State) { o.states <- s }),
		policy.WithLogger(slog.New(slog.NewTextHandler(o.log, nil))))...)
	if err != nil {
		t.Fatal(err)
	}
	o.File = f
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	<-o.states // of the first load
	return o
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// next waits for the next load.
func (o *opened) next(t *testing.T) policy.State {
	t.Helper()
	select {
	case s := <-o.states:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("the change was not noticed")
		return policy.State{}
	}
}

// wantDomain checks that the next load puts the policy with an error domain in force, with the state of the limit.
func (o *opened) wantDomain(t *testing.T, domain string) {
	t.Helper()
	s := o.next(t)
	for s.Err != nil { // on a slow machine a step between is noticed
		s = o.next(t)
	}
	if s.Hash == "" || s.Since.IsZero() || s != o.State() {
		t.Fatalf("the state is %+v; want that of a good file", s)
	}
	if p := o.Policy(); p.Server() != o.Server().Chain() || p.Client() != o.Client().Chain() {
		t.Error("the chains are not those of the policy")
	}
	err := hauberktest.Direct{}.Server(o.Server().Chain())(context.Background())
	st, _ := status.FromError(err)
	if st.Code() != codes.ResourceExhausted || !strings.Contains(st.String()+detailsOf(err), domain) {
		t.Errorf("the call ended with %v, %s; want RESOURCE_EXHAUSTED of %s", err, detailsOf(err), domain)
	}
}

func detailsOf(err error) string {
	var b strings.Builder
	for _, d := range status.Convert(err).Details() {
		if s, ok := d.(interface{ String() string }); ok {
			b.WriteString(s.String())
		}
	}
	return b.String()
}

// Each way of replacing a file puts the new policy in force, several times, and entries keep their state.
func TestOpenFollows(t *testing.T) {
	for name, save := range filesaves.Ways() {
		t.Run(name, func(t *testing.T) {
			o := open(t, withDomain("first.example"))
			if err := (hauberktest.Direct{}).Server(o.Server().Chain())(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, domain := range []string{"second.example", "third.example", "fourth.example"} {
				if err := save(o.path, withDomain(domain)); err != nil {
					t.Fatal(err)
				}
				o.wantDomain(t, domain)
			}
		})
	}
}

// A file that cannot be read or is not valid is reported once with one reason, and changes nothing.
func TestOpenKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		replace func(path string) error
		want    string
	}{
		"not valid":          {func(path string) error { return os.WriteFile(path, []byte("version: 2\n"), 0o600) }, ":1:10: version is"},
		"half-written":       {func(path string) error { return os.Truncate(path, int64(len(withDomain("first.example")))-4) }, "require_end is true"},
		"removed":            {os.Remove, "the file does not exist"},
		"a folder":           {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "it is a folder"},
		"a named pipe":       {func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, "not a regular file"},
		"empty":              {func(path string) error { return os.Truncate(path, 0) }, "the file is empty"},
		"a dangling symlink": {func(path string) error { return errors.Join(os.Remove(path), os.Symlink("none", path)) }, "does not exist"},
		"too large":          {func(path string) error { return os.Truncate(path, policy.MaxSize+1) }, "bytes; want at most"},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, withDomain("first.example"))
			first, before := o.Policy(), o.State()
			if err := c.replace(o.path); err != nil {
				t.Fatal(err)
			}
			s := o.next(t)
			for s.Err != nil && !strings.Contains(s.Err.Error(), c.want) { // as in wantDomain
				s = o.next(t)
			}
			if s.Err == nil || strings.Contains(s.Err.Error(), "\n") ||
				!strings.HasPrefix(s.Err.Error(), o.path+":") || s.FailedAt.IsZero() || s.Failures == 0 {
				t.Errorf("the state is %+v; want an error with %q", s, c.want)
			}
			if s.Hash != before.Hash || !s.Since.Equal(before.Since) || o.Policy() != first || o.Server().Chain() != first.Server() {
				t.Error("the policy in force has changed")
			}
			if err := o.Reload(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Reload: %v; want %q", err, c.want)
			}
			<-o.states
			if n := o.log.count(c.want); n != 1 {
				t.Errorf("the error was logged %d times; want once", n)
			}
			if err := os.RemoveAll(o.path); err != nil {
				t.Fatal(err)
			}
			put(t, o.path, withDomain("second.example"))
			for s = o.next(t); s.Err != nil; s = o.next(t) { // it was not there for a moment
				continue
			}
			if o.Policy() == first || o.State().Err != nil {
				t.Errorf("the good file is not in force: %+v", s)
			}
		})
	}
}

// A bad file that is reverted was never in force: the policy, since when it is in force and the number of loads stay.
func TestOpenReverts(t *testing.T) {
	o := open(t, withDomain("first.example"))
	first, before := o.Policy(), o.State()
	for range 2 {
		put(t, o.path, "version: 2\n...\n")
		s := o.next(t)
		for ; s.Err == nil; s = o.next(t) { // of the revert before
			continue
		}
		put(t, o.path, withDomain("first.example"))
		for ; s.Err != nil; s = o.next(t) { // it may be seen half-written
			continue
		}
		if !s.Since.Equal(before.Since) || s.Loads != before.Loads || s.Hash != before.Hash || !s.FailedAt.IsZero() ||
			s.Failures == 0 || o.Policy() != first {
			t.Errorf("after a revert the state is %+v; want as before, %+v, with failures", s, before)
		}
	}
	put(t, o.path, withDomain("second.example"))
	s := o.next(t)
	for s.Err != nil {
		s = o.next(t)
	}
	if s.Loads != before.Loads+1 || o.Policy() == first {
		t.Errorf("after another file the state is %+v; want one more load than in %+v", s, before)
	}
}

// A policy that names a pipe is an error at once: no load waits for the writer of the pipe.
func TestNamedPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]string{
		"keys":        `{use: authn, jwt: {issuer: "https://a.example", audience: a, algorithms: RS256, jwks_file: PIPE}}`,
		"authorities": `{use: ext_authz, address: "localhost:1", tls: {ca_file: PIPE}}`,
		"certificate": `{use: ext_authz, address: "localhost:1", tls: {cert_file: PIPE, key_file: PIPE}}`,
		"a secret":    `{use: request_id, header: "${file:PIPE}"}`,
	} {
		_, err := policy.Parse("p.yaml", []byte("version: 1\nserver:\n- "+strings.ReplaceAll(entry, "PIPE", pipe)+"\n"))
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The files that a policy names are followed too, but not those that it writes.
func TestOpenFollowsNamedFiles(t *testing.T) {
	dir := t.TempDir()
	secret, records := filepath.Join(dir, "header"), filepath.Join(dir, "audit.log")
	put(t, secret, "x-one\n")
	o := open(t, "version: 1\nserver:\n- {use: request_id, header: \"${file:"+secret+"}\"}\n"+
		"- {use: audit, file: {path: "+records+"}}\n")
	first := o.Policy().Entries()[0].Interceptor
	put(t, records, "a record\n")
	put(t, secret, "x-two\n")
	if s := o.next(t); s.Err != nil || s.Loads != 2 {
		t.Errorf("%+v; want the second load", s)
	}
	if entries := o.Policy().Entries(); entries[0].Interceptor == first || !entries[1].Kept {
		t.Error("the entry with the secret was kept, or the other was not")
	}
}

// A policy whose chains do not fit what is attached is rejected as a whole: neither chain changes.
func TestOpenRejectsWhatDoesNotFit(t *testing.T) {
	o := open(t, withDomain("first.example"))
	hauberktest.Start(t, hauberktest.Setup{ServerLive: o.Server(), ClientLive: o.Client()})
	first := o.Policy()
	put(t, o.path, strings.Replace(withDomain("second.example"), "limit: 1/1h",
		"limit: 1/1h\n    methods: [hauberk.test.v1.TestServices/*]", 1))
	s := o.next(t)
	if s.Err == nil || !strings.Contains(s.Err.Error(), "no method of the server matches") ||
		!strings.HasPrefix(s.Err.Error(), o.path+":1:1: server: ") {
		t.Errorf("%+v; want the pattern that matches no method", s)
	}
	if o.Server().Chain() != first.Server() || o.Client().Chain() != first.Client() {
		t.Error("a chain has changed")
	}
}

// Reload loads a file that has not changed, since the environment may have, and after Close it returns an error.
func TestReload(t *testing.T) {
	value := "x-one"
	o := open(t, "version: 1\nserver:\n- {use: request_id, header: \"${env:H}\"}\n- {use: recovery}\n",
		policy.WithEnv(func(string) (string, bool) { return value, true }))
	for _, c := range []struct {
		value string
		kept  bool
	}{{"x-one", true}, {"x-two", false}} {
		value = c.value
		if err := o.Reload(); err != nil {
			t.Fatal(err)
		}
		if entries := o.Policy().Entries(); entries[0].Kept != c.kept || !entries[1].Kept {
			t.Errorf("%s: kept %t and %t", value, entries[0].Kept, entries[1].Kept)
		}
	}
	measured := make(map[string]float64)
	for name, m := range o.Measurements() {
		measured[name+" "+m.Name+m.LabelValue] = m.Value
	}
	if measured["policy policy_loads_totalok"] != 3 || measured["policy policy_current"] != 1 || len(measured) != 4 {
		t.Errorf("measurements %v", measured)
	}
	for range 2 {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := o.Reload(); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("Reload after Close: %v", err)
	}
}

// Open reports what is wrong with a file, as Load does, and leaves nothing behind.
func TestOpenReportsErrors(t *testing.T) {
	hauberktest.CheckLeaks(t)
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := policy.Open(path); err == nil || !strings.Contains(err.Error(), path+":1:1: the file does not exist") {
		t.Errorf("no file: %v", err)
	}
	put(t, path, "version: 1\nserver:\n- {use: rate_limt}\n")
	if _, err := policy.Open(path); err == nil || !strings.Contains(err.Error(), path+":3:9: ") {
		t.Errorf("a bad file: %v", err)
	}
}
