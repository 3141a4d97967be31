package authnjwt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// TestRevoke: a revocation names tokens by ID or subject, of one issuer or every one. It applies to
// tokens that are kept, closes their identities, and says so to the holder.
func TestRevoke(t *testing.T) {
	for name, test := range map[string]struct {
		entry   authnjwt.Revocation
		revokes bool
	}{
		"jti":                   {authnjwt.Revocation{ID: "42"}, true},
		"another jti":           {authnjwt.Revocation{ID: "43"}, false},
		"jti of the issuer":     {authnjwt.Revocation{Issuer: issuer, ID: "42"}, true},
		"jti of another":        {authnjwt.Revocation{Issuer: issuer + "/", ID: "42"}, false},
		"subject":               {authnjwt.Revocation{Subject: "app"}, true},
		"subject of the issuer": {authnjwt.Revocation{Issuer: issuer, Subject: "app"}, true},
		"sub":                   {authnjwt.Revocation{Subject: "alice"}, true},
		"another subject":       {authnjwt.Revocation{Subject: "bob"}, false},
		"subject as jti":        {authnjwt.Revocation{ID: "alice"}, false},
		"for a time":            {authnjwt.Revocation{ID: "42", Until: time.Now().Add(time.Hour)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var list authnjwt.Revocations
			c := config()
			c.SubjectClaim = "client_id"
			v := validator(t, c, edKeys(), authnjwt.WithRevocations(&list))
			text := token(claims(time.Now()).with(object{"client_id": "app"}))
			id := accepts(t, v, text)
			if accepts(t, v, text) != id || id.Revoked == nil || id.Expired(time.Now()) {
				t.Fatalf("%+v; want an identity that is kept and may be revoked", id)
			}
			if err := list.Revoke(test.entry); err != nil {
				t.Fatal(err)
			}
			if id.Expired(time.Now()) != test.revokes {
				t.Errorf("the identity is revoked: %t; want %t", !test.revokes, test.revokes)
			}
			if test.revokes {
				rejects(t, v, text, authn.ErrTokenRevoked)
				rejects(t, validator(t, c, edKeys(), authnjwt.WithRevocations(&list)), text, authn.ErrTokenRevoked)
				if err := list.Replace(nil); err != nil {
					t.Fatal(err)
				}
			}
			accepts(t, v, text)
		})
	}
}

// TestWrongRevocations: one without a name, or with two, is an error, and changes nothing.
func TestWrongRevocations(t *testing.T) {
	var list authnjwt.Revocations
	for _, wrong := range []authnjwt.Revocation{{}, {Issuer: issuer}, {ID: "1", Subject: "a"}} {
		for _, change := range []func(...authnjwt.Revocation) error{
			list.Revoke, func(r ...authnjwt.Revocation) error { return list.Replace(r) },
		} {
			if err := change(authnjwt.Revocation{ID: "1"}, wrong); err == nil || list.Len() != 0 {
				t.Errorf("%+v: %v, %d entries; want an error and none", wrong, err, list.Len())
			}
		}
	}
}

// TestForgotten: entries whose time is over are removed when the list grows, others never.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list authnjwt.Revocations
		add := func(r authnjwt.Revocation) {
			if err := list.Revoke(r); err != nil {
				t.Fatal(err)
			}
		}
		add(authnjwt.Revocation{Subject: "mallory"})
		add(authnjwt.Revocation{Subject: "mallory", Until: time.Now()})
		for i := range 10_000 {
			add(authnjwt.Revocation{ID: fmt.Sprint(i), Until: time.Now().Add(100 * time.Second)})
			wait(time.Second)
			if list.Len() > 1100 {
				t.Fatalf("%d entries; want no more than are in force, and 1024", list.Len())
			}
		}
		v := validator(t, config(), edKeys(), authnjwt.WithRevocations(&list))
		rejects(t, v, token(claims(time.Now()).with(object{"sub": "mallory"})), authn.ErrTokenRevoked)
	})
}

// TestRevokedStream: a revocation ends an open stream of each kind at once, whether its token is
// still in the cache or not, and no other stream.
func TestRevokedStream(t *testing.T) {
	for _, cached := range []int{0, -1, 2} {
		for _, kind := range kinds[1:] {
			testRevokedStream(t, cached, kind, false)
		}
	}
	testRevokedStream(t, 0, hauberk.Bidi, true)
}

func testRevokedStream(t *testing.T, cached int, kind hauberk.Kind, closed bool) {
	t.Run(fmt.Sprintf("%d/%v/closed %t", cached, kind, closed), func(t *testing.T) {
		hauberktest.CheckLeaks(t)
		var list authnjwt.Revocations
		c := config()
		c.CachedTokens = cached
		v := validator(t, c, edKeys(), authnjwt.WithRevocations(&list))
		started, ended := make(chan string, 2), make(chan error, 2)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			started <- authn.User.Or(ctx, "no one")
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		}}
		env := server(kind).StartWith(t, backend, authn.New(authn.Config{}, v))
		open := func(subject string) grpc.ClientStream {
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			text := token(claims(time.Now()).with(object{"sub": subject}))
			desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
			stream, err := env.Client.NewStream(bearer(ctx, text), desc, hauberktest.FullMethod(kind))
			if err == nil {
				err = stream.SendMsg(&testpb.Request{})
			}
			if err == nil && !kind.ClientStreams() {
				err = stream.CloseSend()
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := <-started; got != subject {
				t.Fatalf("the handler runs for %s", got)
			}
			return stream
		}
		alice := open("alice")
		bob := open("bob")
		for i := range 200 { // displace their tokens, and look for unused ones
			accepts(t, v, token(claims(time.Now()).with(object{"sub": fmt.Sprint("user", i)})))
		}
		runtime.GC()
		runtime.GC()
		accepts(t, v, token(claims(time.Now()).with(object{"sub": "last"})))
		if closed {
			v.Close()
		}
		if err := list.Revoke(authnjwt.Revocation{Subject: "alice"}); err != nil {
			t.Fatal(err)
		}
		err := alice.RecvMsg(&testpb.Response{})
		if status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != "Token revoked" || hauberk.Reason(err) != authn.ReasonTokenRevoked {
			t.Errorf("the stream ended with %v; want that its token was revoked", err)
		}
		if cause := <-ended; !errors.Is(cause, authn.ErrTokenRevoked) {
			t.Errorf("the handler's context ended with %v", cause)
		}
		if bob.Context().Err() != nil || len(ended) != 0 {
			t.Error("the stream of another subject ended")
		}
	})
}

// TestRevokedAfterClose: Close ends no revocation: the next calls with revoked tokens are rejected, also if the
// token was kept.
func TestRevokedAfterClose(t *testing.T) {
	list := new(authnjwt.Revocations)
	v := validator(t, config(), edKeys(), authnjwt.WithRevocations(list))
	kept := token(claims(time.Now()).with(object{"sub": "a"}))
	other := token(claims(time.Now()).with(object{"sub": "b"}))
	accepts(t, v, kept)
	v.Close()
	accepts(t, v, kept)
	if err := list.Revoke(authnjwt.Revocation{Subject: "a"}, authnjwt.Revocation{Subject: "b"}); err != nil {
		t.Fatal(err)
	}
	rejects(t, v, other, authn.ErrTokenRevoked)
	rejects(t, v, kept, authn.ErrTokenRevoked)
}

// TestRevokedCopy: a revocation reaches a copy of an identity, such as one to which the program added roles:
// open streams of each kind end, and calls whose identity another cache has are rejected. It
// does so whether the validator keeps tokens or not.
func TestRevokedCopy(t *testing.T) {
	for name, copied := range map[string]func(*authn.Identity) authn.Identity{
		"all fields": func(id *authn.Identity) authn.Identity { return *id },
		"some": func(id *authn.Identity) authn.Identity {
			return authn.Identity{Subject: id.Subject, Expires: id.Expires, Revoked: id.Revoked}
		},
	} {
		for _, cached := range []int{-1, 2, 0} {
			for _, kind := range kinds {
				t.Run(fmt.Sprint(name, "/", cached, "/", kind), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					var list authnjwt.Revocations
					c := config()
					c.CachedTokens = cached
					v := validator(t, c, edKeys(), authnjwt.WithRevocations(&list))
					withRoles := func(ctx context.Context, token string) (*authn.Identity, error) {
						id, err := v.Validate(ctx, token)
						if err != nil {
							return nil, err
						}
						own := copied(id)
						own.Roles = []string{"admin"}
						return &own, nil
					}
					started := make(chan struct{}, 1)
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
						started <- struct{}{}
						<-ctx.Done()
						return context.Cause(ctx)
					}}
					env := server(kind).StartWith(t, backend, authn.New(authn.Config{ExpireUnary: true},
						authn.Bearer(withRoles, authn.CacheTokens(100, 0))))
					done := make(chan error, 1)
					text := token(claims(time.Now()))
					go func() { done <- env.Call(bearer(t.Context(), text)).Err }()
					<-started
					for i := range 10 { // displace the token
						accepts(t, v, token(claims(time.Now()).with(object{"jti": fmt.Sprint("other", i)})))
					}
					for range 3 {
						runtime.GC()
					}
					if err := list.Revoke(authnjwt.Revocation{ID: "42"}); err != nil {
						t.Fatal(err)
					}
					if err := <-done; hauberk.Reason(err) != authn.ReasonTokenRevoked {
						t.Errorf("the open call ended with %v; want that its token was revoked", err)
					}
					if err := env.Call(bearer(t.Context(), text)).Err; hauberk.Reason(err) != authn.ReasonTokenRevoked {
						t.Errorf("the next call ended with %v; want that its token was revoked", err)
					}
				})
			}
		}
	}
}

// TestRevocationsFile: a changed file applies within a second, garbage changes nothing and is logged.
func TestRevocationsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.RevocationsFile = filepath.Join(t.TempDir(), "revoked")
		write(t, c.RevocationsFile, "# none\n")
		var log buffer
		v := validator(t, c, edKeys(), log.option())
		alice, bob := token(claims(time.Now())), token(claims(time.Now()).with(object{"sub": "bob", "jti": "43"}))
		id := accepts(t, v, alice)
		accepts(t, v, bob)
		write(t, c.RevocationsFile, "sub alice\r\niss "+issuer+" jti 44\n")
		wait(time.Second)
		select {
		case <-id.Revoked:
		default:
			t.Error("the identity is not revoked")
		}
		rejects(t, v, alice, authn.ErrTokenRevoked)
		accepts(t, v, bob)
		write(t, c.RevocationsFile, "sub alice\nbob\n")
		wait(time.Second)
		if text := log.take(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "line 2") {
			t.Errorf("the log is %q", text)
		}
		rejects(t, v, alice, authn.ErrTokenRevoked)
		accepts(t, v, bob)
		write(t, c.RevocationsFile, "jti 43")
		wait(time.Second)
		accepts(t, v, alice)
		rejects(t, v, bob, authn.ErrTokenRevoked)
	})
}

// TestParseRevocations: the format of the file.
func TestParseRevocations(t *testing.T) {
	for text, want := range map[string][]authnjwt.Revocation{
		"":                                  nil,
		"\n\r\n# jti 1\n":                   nil,
		"jti 1":                             {{ID: "1"}},
		"jti 1\nsub a b \r\n":               {{ID: "1"}, {Subject: "a b "}},
		"iss https://i sub a":               {{Issuer: "https://i", Subject: "a"}},
		"iss https://i jti sub":             {{Issuer: "https://i", ID: "sub"}},
		"sub iss x":                         {{Subject: "iss x"}},
		"sub  a":                            {{Subject: " a"}},
		"sub #a":                            {{Subject: "#a"}},
		"jti " + strings.Repeat("1", 1<<20): {{ID: strings.Repeat("1", 1<<20)}},
	} {
		got, err := authnjwt.ParseRevocations([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q: %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"alice":                       "line 1",
		"jti 1\n\nsub\n":              "line 3",
		"sub ":                        "line 1",
		"JTI 1":                       "line 1",
		" jti 1":                      "line 1",
		"jti\t1":                      "line 1",
		"iss":                         "line 1",
		"iss x":                       "line 1",
		"iss x sub":                   "line 1",
		"iss  sub a":                  "line 1",
		"iss x iss y sub a":           "line 1",
		"sub \xff":                    "line 1",
		strings.Repeat("x", 1<<20):    "more bytes",
		strings.Repeat("\n", 1<<20+1): "1048576 lines",
		"{\"jti\":\"1\"}":             "line 1",
	} {
		got, err := authnjwt.ParseRevocations([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.40q: %v, %v; want an error with %q", text, got, err, want)
		}
	}
}

// TestConcurrentRevocation: however calls and a revocation interleave, no identity is admitted and
// then forgotten.
func TestConcurrentRevocation(t *testing.T) {
	for range 50 {
		var list authnjwt.Revocations
		v := validator(t, config(), edKeys(), authnjwt.WithRevocations(&list))
		text := token(claims(time.Now()))
		var mu sync.Mutex
		var admitted []*authn.Identity
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if id, err := v.Validate(t.Context(), text); err == nil {
					mu.Lock()
					defer mu.Unlock()
					admitted = append(admitted, id)
				} else if !errors.Is(err, authn.ErrTokenRevoked) {
					t.Error(err)
				}
			})
		}
		group.Go(func() { _ = list.Revoke(authnjwt.Revocation{ID: "42"}) })
		group.Wait()
		for _, id := range admitted {
			if !id.Expired(time.Now()) {
				t.Fatal("an identity was admitted and is not revoked")
			}
		}
		rejects(t, v, text, authn.ErrTokenRevoked)
	}
}
