package authn_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// keyFile writes a key file and returns its name.
func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, lines...)
	return path
}

func writeKeys(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func withKey(ctx context.Context, keys ...string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.MD{"x-api-key": keys})
}

func apiKeys(t *testing.T, config authn.APIKeysConfig) *authn.APIKeys {
	t.Helper()
	keys := authn.NewAPIKeys(config)
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	return keys
}

func TestAPIKeys(t *testing.T) {
	good, hash := authn.NewAPIKey()
	late, lateHash := authn.NewAPIKey()
	path := keyFile(t, "# keys", "", "billing "+hash+" tenant=acme roles=reader,writer scopes=a,b expires=2100-01-31T00:00:00Z",
		"old "+lateHash+" expires=2020-01-01T00:00:00Z")
	keys := apiKeys(t, authn.APIKeysConfig{File: path})
	for name, test := range map[string]struct {
		sent    []string
		message string // "" if the call is admitted
		reason  string
	}{
		"good":    {[]string{good}, "", ""},
		"none":    {nil, "Missing API key", authn.ReasonMissingToken},
		"empty":   {[]string{""}, "Invalid API key", authn.ReasonInvalidToken},
		"unknown": {[]string{"guess"}, "Invalid API key", authn.ReasonInvalidToken},
		"hash":    {[]string{hash}, "Invalid API key", authn.ReasonInvalidToken},
		"two":     {[]string{good, good}, "Invalid API key", authn.ReasonInvalidToken},
		"long":    {[]string{strings.Repeat("x", 1<<11)}, "Invalid API key", authn.ReasonInvalidToken},
		"expired": {[]string{late}, "Token expired", authn.ReasonTokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var w witness
				out := w.serve(withKey(t.Context(), test.sent...), t, kind, authn.New(authn.Config{}, keys))
				if test.message != "" {
					wantStatus(t, out.Err, codes.Unauthenticated, test.message)
					if got := hauberk.Reason(out.Err); got != test.reason || w.handled {
						t.Errorf("reason %q, handled %v; want %q", got, w.handled, test.reason)
					}
					return
				}
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				id := w.identity
				if id.Subject != "billing" || id.Tenant != "acme" || strings.Join(id.Roles, " ") != "reader writer" ||
					strings.Join(id.Scopes, " ") != "a b" || id.Method != "api key" {
					t.Errorf("the identity is %+v", *id)
				}
			})
		})
	}
}

// TestAPIKeysReload: keys come and go with the file. A key that leaves it ends its streams. A
// file with an error changes nothing.
func TestAPIKeysReload(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		first, firstHash := authn.NewAPIKey()
		second, secondHash := authn.NewAPIKey()
		path := keyFile(t, "a "+firstHash, "b "+secondHash)
		failed := make(chan error, 10)
		keys := authn.NewAPIKeys(authn.APIKeysConfig{File: path, Failed: func(err error) { failed <- err }})
		defer keys.Close()
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		env := server(hauberk.Bidi).StartWith(t, backend, authn.New(authn.Config{}, keys))
		ended := make(chan error, 1)
		go func() { ended <- env.Call(withKey(t.Context(), first)).Err }()
		pass(time.Minute)
		synctest.Wait() // for the look at the file

		writeKeys(t, path, "b "+secondHash, "c "+first) // by mistake the key itself
		pass(2 * time.Second)
		err := <-failed
		if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), first) {
			t.Errorf("%v; want the line, and not the key", err)
		}
		select {
		case err := <-ended:
			t.Fatalf("a bad file ended a stream: %v", err)
		default:
		}

		synctest.Wait()
		writeKeys(t, path, "b "+secondHash)
		pass(2 * time.Second)
		wantStatus(t, <-ended, codes.Unauthenticated, "Token revoked")
		wantStatus(t, env.Call(withKey(t.Context(), first)).Err, codes.Unauthenticated, "Invalid API key")
		if err := <-failed; err != nil {
			t.Errorf("%v; want nil when the file is good again", err)
		}
		ctx, cancel := context.WithTimeout(withKey(t.Context(), second), time.Second)
		defer cancel()
		if err := env.Call(ctx).Err; status.Code(err) != codes.DeadlineExceeded { // the handler waits
			t.Errorf("the other key: %v; want it to be good", err)
		}
	})
}

// TestByteOrderMark: a file of an editor that writes a byte order mark and CR LF has the same keys.
func TestByteOrderMark(t *testing.T) {
	key, hash := authn.NewAPIKey()
	keys := apiKeys(t, authn.APIKeysConfig{File: keyFile(t, "\ufeffalice "+hash+" roles=reader\r", "\r")})
	var w witness
	out := w.serve(withKey(t.Context(), key), t, hauberk.Unary, authn.New(authn.Config{}, keys))
	if out.Err != nil || w.user != "alice" || w.identity.Roles[0] != "reader" {
		t.Errorf("%v for %q; want OK for alice", out.Err, w.user)
	}
}

// TestLastAPIKey: a key that leaves the file is revoked, also if it was the only one. A file that is
// gone revokes nothing.
func TestLastAPIKey(t *testing.T) {
	for name, test := range map[string]struct {
		replace func(path string) error
		admits  bool
	}{
		"commented out": {func(path string) error { return os.WriteFile(path, []byte("# stolen\n"), 0o600) }, false},
		"emptied":       {func(path string) error { return os.WriteFile(path, nil, 0o600) }, false},
		"file removed":  {os.Remove, true},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				synctest.Test(t, func(t *testing.T) {
					key, hash := authn.NewAPIKey()
					path := keyFile(t, "alice "+hash)
					keys := authn.NewAPIKeys(authn.APIKeysConfig{File: path})
					defer keys.Close()
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						select {
						case <-ctx.Done():
							return context.Cause(ctx)
						case <-time.After(time.Hour):
							return hauberktest.Echo(ctx, s)
						}
					}}
					env := server(kind).StartWith(t, backend, authn.New(authn.Config{ExpireUnary: true}, keys))
					open := make(chan error, 1)
					go func() { open <- env.Call(withKey(t.Context(), key)).Err }()
					pass(time.Minute)
					synctest.Wait()
					if err := test.replace(path); err != nil {
						t.Fatal(err)
					}
					pass(2 * time.Second)
					synctest.Wait()
					if test.admits {
						if err := errors.Join(<-open, env.Call(withKey(t.Context(), key)).Err); err != nil {
							t.Errorf("%v; want the key to be good", err)
						}
						return
					}
					wantStatus(t, env.Call(withKey(t.Context(), key)).Err, codes.Unauthenticated, "Invalid API key")
					wantStatus(t, <-open, codes.Unauthenticated, "Token revoked")
				})
			})
		})
	}
}

func TestAPIKeysErrors(t *testing.T) {
	_, hash := authn.NewAPIKey()
	for name, test := range map[string]struct {
		config authn.APIKeysConfig
		lines  []string // of the file; nil for none
		want   string
	}{
		"no file":       {authn.APIKeysConfig{}, nil, "APIKeysConfig.File is empty; want the name of a key file"},
		"absent":        {authn.APIKeysConfig{File: "absent"}, nil, "APIKeysConfig.File: open absent: no such file"},
		"header":        {authn.APIKeysConfig{File: "x", Header: "x key"}, nil, `APIKeysConfig.Header is "x key"; want a metadata key`},
		"binary header": {authn.APIKeysConfig{File: "x", Header: "key-bin"}, nil, `APIKeysConfig.Header is "key-bin"`},
		"empty":         {authn.APIKeysConfig{}, []string{"# nothing"}, "the file has no key"},
		"no hash":       {authn.APIKeysConfig{}, []string{"a " + hash, "b"}, "line 2: want a subject and a hash"},
		"short hash":    {authn.APIKeysConfig{}, []string{"a " + hash[:20]}, "line 1: the hash is malformed"},
		"other hash":    {authn.APIKeysConfig{}, []string{"a md5:00"}, `line 1: the hash is malformed; want a subject, sha256: and 64`},
		"swapped":       {authn.APIKeysConfig{}, []string{hash + " a"}, "line 1: the hash is malformed"},
		"twice":         {authn.APIKeysConfig{}, []string{"a " + hash, "b " + hash}, `line 2: the hash is that of an earlier line, of "a"`},
		"unknown field": {authn.APIKeysConfig{}, []string{"a " + hash + " role=x"}, "line 1: field 3 has an unknown name; want tenant"},
		"empty field":   {authn.APIKeysConfig{}, []string{"a " + hash + " tenant="}, "line 1: field 3 has no value"},
		"empty role":    {authn.APIKeysConfig{}, []string{"a " + hash + " roles=a,"}, "line 1: field 3 has an empty item"},
		"empty scope":   {authn.APIKeysConfig{}, []string{"a " + hash + " scopes=a,,b"}, "line 1: field 3 has an empty item"},
		"joined files":  {authn.APIKeysConfig{}, []string{"# one", "\ufeffa " + hash}, "line 2: it has a character that is not printable"},
		"not UTF-8":     {authn.APIKeysConfig{}, []string{"a\xff " + hash}, "line 1: it has a character that is not printable"},
		"time":          {authn.APIKeysConfig{}, []string{"a " + hash + " expires=soon"}, "line 1: field 3 is no time of RFC 3339"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.lines != nil {
				test.config.File = keyFile(t, test.lines...)
			}
			keys := authn.NewAPIKeys(test.config)
			defer keys.Close()
			if _, err := hauberk.New(authn.New(authn.Config{}, keys)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
	if err := new(authn.APIKeys).Err(); err == nil || !strings.Contains(err.Error(), "make it with authn.NewAPIKeys") {
		t.Errorf("the zero value: %v", err)
	}
}

// TestSharedMetadataKey: API keys under the metadata key of another method are an error of hauberk.New, since
// one of them could admit no call.
func TestSharedMetadataKey(t *testing.T) {
	_, hash := authn.NewAPIKey()
	keys := func(header string) authn.Method {
		return apiKeys(t, authn.APIKeysConfig{File: keyFile(t, "a "+hash), Header: header})
	}
	bearer := authn.Bearer(check)
	for name, test := range map[string]struct {
		methods []authn.Method
		shared  bool
	}{
		"behind tokens":         {[]authn.Method{bearer, keys("Authorization")}, true},
		"in front of tokens":    {[]authn.Method{keys("authorization"), bearer}, true},
		"twice":                 {[]authn.Method{keys(""), keys("X-API-Key")}, true},
		"alone":                 {[]authn.Method{keys("authorization")}, false},
		"under different keys":  {[]authn.Method{keys(""), bearer, keys("x-old-key")}, false},
		"several token methods": {[]authn.Method{bearer, authn.Bearer(check)}, false},
	} {
		_, err := hauberk.New(authn.New(authn.Config{}, test.methods...))
		if (err != nil) != test.shared || err != nil && !strings.Contains(err.Error(), "both read the metadata key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAPIKeyAfterToken: a bad token is not replaced by a good key, nor the reverse.
func TestAPIKeyAfterToken(t *testing.T) {
	good, hash := authn.NewAPIKey()
	keys := apiKeys(t, authn.APIKeysConfig{File: keyFile(t, "billing "+hash)})
	for name, test := range map[string]struct {
		methods []authn.Method
		token   string
		key     string
		user    string // "" if the call is rejected
		cause   error
	}{
		"token alone":         {[]authn.Method{authn.Bearer(check), keys}, "Bearer good", "", "alice", nil},
		"key alone":           {[]authn.Method{authn.Bearer(check), keys}, "", good, "billing", nil},
		"bad token, good key": {[]authn.Method{authn.Bearer(check), keys}, "Bearer bad", good, "", authn.ErrInvalidToken},
		"bad key, good token": {[]authn.Method{keys, authn.Bearer(check)}, "Bearer good", "bad", "", authn.ErrInvalidToken},
		"the first decides":   {[]authn.Method{keys, authn.Bearer(check)}, "Bearer bad", good, "billing", nil},
		"neither":             {[]authn.Method{keys, authn.Bearer(check)}, "", "", "", authn.ErrNoCredential},
		"token of another method, good key": {
			[]authn.Method{authn.Bearer(failing(authn.ErrOtherMethod)), keys}, "Bearer x", good, "", authn.ErrOtherMethod,
		},
		"token of another method": {
			[]authn.Method{authn.Bearer(failing(authn.ErrOtherMethod)), keys, authn.Bearer(check)}, "Bearer good", good, "alice", nil,
		},
		"a method that does not say": {
			[]authn.Method{authn.Bearer(failing(authn.ErrOtherMethod)), method{id: &authn.Identity{Subject: "bob"}, ran: new([]string)}},
			"Bearer x", "", "bob", nil,
		},
		"two that do not judge, good key": {
			[]authn.Method{authn.Bearer(failing(authn.ErrOtherMethod)), method{err: authn.ErrOtherMethod, ran: new([]string)}, keys},
			"Bearer x", good, "", authn.ErrOtherMethod,
		},
		"left by one that does not say, good key": {
			[]authn.Method{method{err: authn.ErrOtherMethod, ran: new([]string)}, keys}, "Bearer bad", good, "", authn.ErrOtherMethod,
		},
		"left by one that does not say, good token": {
			[]authn.Method{method{err: authn.ErrOtherMethod, ran: new([]string)}, authn.Bearer(check)}, "Bearer good", "", "", authn.ErrOtherMethod,
		},
		"two that do not judge, good token": {
			[]authn.Method{authn.Bearer(failing(authn.ErrOtherMethod)), method{err: authn.ErrOtherMethod, ran: new([]string)}, authn.Bearer(check)},
			"Bearer good", "", "", authn.ErrOtherMethod,
		},
		"left by one that does not say, to another": {
			[]authn.Method{
				method{err: authn.ErrOtherMethod, ran: new([]string)}, keys, method{id: &authn.Identity{Subject: "bob"}, ran: new([]string)},
			},
			"", good, "bob", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w witness
			md := metadata.MD{}
			if test.token != "" {
				md.Set("authorization", test.token)
			}
			if test.key != "" {
				md.Set("x-api-key", test.key)
			}
			out := w.serve(metadata.NewOutgoingContext(t.Context(), md), t, hauberk.Unary, authn.New(authn.Config{}, test.methods...))
			if test.user != "" {
				if out.Err != nil || w.user != test.user {
					t.Errorf("%v for %q; want OK for %q", out.Err, w.user, test.user)
				}
				return
			}
			if !errors.Is(w.err, test.cause) || w.handled {
				t.Errorf("%v, handled %v; want %v", w.err, w.handled, test.cause)
			}
		})
	}
}
