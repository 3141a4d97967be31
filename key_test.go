package hauberk_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

type account struct{ id int }

var (
	accountKey = hauberk.NewKey[*account]("account")
	anyKey     = hauberk.NewKey[any]("any")
	errorKey   = hauberk.NewKey[error]("error")
	countKey   = hauberk.NewKey[int]("count")
)

// TestState sets state of several types in an inner interceptor; an outer one reads it
// after next, an inner one before, and on a server the handler through its
// context.
func TestState(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		read := func(who string, ctx context.Context) {
			a, ok := accountKey.FromContext(ctx)
			id := 0
			if ok {
				id = a.id
			}
			j.add(fmt.Sprint(who, " ", userKey.Or(ctx, "no one"), " ", id, " ", countKey.Or(ctx, -1)))
		}
		reader := func(who string) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				read(who+" in", ctx)
				err := next(ctx, call)
				read(who+" out", ctx)
				return err
			})
		}
		writer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			userKey.Set(call, "alice")
			accountKey.Set(call, &account{7})
			countKey.Set(call, 1)
			ctx, cancel := context.WithCancel(ctx) // a derived context reaches the call too
			defer cancel()
			err := next(ctx, call)
			countKey.Set(call, countKey.Or(ctx, -1)+1)
			return err
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			read("handler", ctx)
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, reader("outer"), writer, reader("inner"))
		want := []string{"outer in no one 0 -1", "inner in alice 7 1"}
		if c.Side == hauberk.ServerSide {
			want = append(want, "handler alice 7 1")
		} else {
			want = append(want, "handler no one 0 -1")
		}
		want = append(want, "inner out alice 7 1", "outer out alice 7 2")
		for range 2 { // each call starts empty
			j.entries = nil
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			equal(t, "state", j.all(), want)
		}
	})
}

// TestStateStartsEmpty makes calls of one server one after the other and concurrently with
// each other.
func TestStateStartsEmpty(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, ok := userKey.FromContext(ctx); ok {
				return status.Error(codes.DataLoss, "state of another call")
			}
			userKey.Set(call, "alice")
			return next(ctx, call)
		})
		env := c.Start(t, interceptor)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					wantCode(t, env.Call(t.Context()).Err, codes.OK)
				}
			})
		}
		wg.Wait()
	})
}

// stateCall runs f in the one interceptor of a call.
func stateCall(t *testing.T, f func(ctx context.Context, call *hauberk.Call)) {
	t.Helper()
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f(ctx, call)
		return next(ctx, call)
	})
	if err := unaryHandler(hauberk.Must(hauberk.New(interceptor)))(); err != nil {
		t.Fatal(err)
	}
}

func TestManyKeys(t *testing.T) {
	keys := make([]hauberk.Key[int], 20)
	for i := range keys {
		keys[i] = hauberk.NewKey[int]("same name") // and still different keys
	}
	stateCall(t, func(ctx context.Context, call *hauberk.Call) {
		for round := range 2 {
			for i, k := range keys {
				k.Set(call, 100*round+i)
			}
			for i, k := range keys {
				if got, ok := k.FromContext(ctx); !ok || got != 100*round+i {
					t.Errorf("round %d, key %d: %d, %t", round, i, got, ok)
				}
				if got, ok := k.Get(call); !ok || got != 100*round+i {
					t.Errorf("round %d, key %d from the call: %d, %t", round, i, got, ok)
				}
			}
		}
		if _, ok := hauberk.NewKey[int]("same name").FromContext(ctx); ok {
			t.Error("a key that was never set has a value")
		}
	})
}

func TestZeroAndNilValues(t *testing.T) {
	stateCall(t, func(ctx context.Context, call *hauberk.Call) {
		userKey.Set(call, "")
		if v, ok := userKey.FromContext(ctx); v != "" || !ok || userKey.Or(ctx, "other") != "" {
			t.Errorf("an empty string: %q, %t", v, ok)
		}
		accountKey.Set(call, nil)
		if v, ok := accountKey.FromContext(ctx); v != nil || !ok {
			t.Errorf("a nil pointer: %v, %t", v, ok)
		}
		errorKey.Set(call, nil)
		if v, ok := errorKey.FromContext(ctx); v != nil || !ok {
			t.Errorf("a nil error: %v, %t", v, ok)
		}
		anyKey.Set(call, nil)
		if v, ok := anyKey.FromContext(ctx); v != nil || !ok || anyKey.Or(ctx, 1) != nil {
			t.Errorf("a nil any: %v, %t", v, ok)
		}
		errorKey.Set(call, errLimit)
		if v, _ := errorKey.FromContext(ctx); v != errLimit { //nolint:errorlint // the very value
			t.Errorf("an error: %v", v)
		}
	})
}

// TestStateConcurrently sets and reads from many goroutines of one call, more keys
// than a call has slots.
func TestStateConcurrently(t *testing.T) {
	keys := make([]hauberk.Key[int], 8)
	for i := range keys {
		keys[i] = hauberk.NewKey[int]("k")
	}
	stateCall(t, func(ctx context.Context, call *hauberk.Call) {
		var wg sync.WaitGroup
		for g, own := range keys {
			wg.Go(func() {
				for i := range 200 {
					own.Set(call, i)
					if got := own.Or(ctx, -1); got != i {
						t.Errorf("goroutine %d set %d and reads %d", g, i, got)
						return
					}
					_, _ = keys[(g+i)%len(keys)].FromContext(ctx)
				}
			})
		}
		wg.Wait()
	})
}

// TestReplacedStateIsNeverAbsent reads a value, in a slot and beyond the slots,
// while it is replaced: it is there, and it never goes back.
func TestReplacedStateIsNeverAbsent(t *testing.T) {
	keys := make([]hauberk.Key[int], 5)
	for i := range keys {
		keys[i] = hauberk.NewKey[int]("k")
	}
	for range 200 {
		stateCall(t, func(_ context.Context, call *hauberk.Call) {
			for _, k := range keys {
				k.Set(call, 0)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range 20 {
					for _, k := range keys {
						k.Set(call, i)
					}
				}
			})
			for i, k := range keys {
				wg.Go(func() {
					for last := 0; last < 19; {
						got, ok := k.Get(call)
						if !ok || got < last {
							t.Errorf("key %d: %d, %t after %d", i, got, ok, last)
							return
						}
						last = got
						runtime.Gosched()
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestStateOfAttempts shares state between a call and its copies.
func TestStateOfAttempts(t *testing.T) {
	hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		attempt := call.Attempt()
		userKey.Set(attempt, "from the copy")
		err := next(ctx, attempt)
		call.Adopt(attempt)
		if got, _ := userKey.Get(call); got != "from inside" {
			t.Errorf("the call has %q", got)
		}
		return err
	})
	inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if got := userKey.Or(ctx, "none"); got != "from the copy" {
			t.Errorf("the attempt has %q", got)
		}
		userKey.Set(call, "from inside")
		return next(ctx, call)
	})
	if err := clientCall(hauberk.Must(hauberk.New(hedge, inner)), hauberk.Unary)(); err != nil {
		t.Fatal(err)
	}
}

// TestAttemptKeys: concurrent attempts have separate values of an attempt key, which their
// inner interceptors read and set through the call and through its context; the call gets
// those of the attempt that it adopts.
func TestAttemptKeys(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			key := hauberk.NewAttemptKey[int]("attempt")
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				key.Set(call, 10)
				err := next(ctx, call)
				if got := key.Or(ctx, -1); got != 22 {
					t.Errorf("the call has %d, want what the second attempt has set", got)
				}
				return err
			})
			hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				copies := []*hauberk.Call{call.Attempt(), call.Attempt()}
				key.Set(copies[1], 20)
				if got, _ := key.Get(copies[0]); got != 10 {
					t.Errorf("the first attempt has %d, want that of the call", got)
				}
				first := next(ctx, copies[0])
				if got := key.Or(ctx, -1); got != 10 {
					t.Errorf("the call has %d before it adopts an attempt", got)
				}
				if first == nil {
					t.Error("the first attempt succeeded")
				}
				err := next(ctx, copies[1])
				call.Adopt(copies[1])
				return err
			})
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				before, _ := key.Get(call)
				if of := hauberk.FromContext(ctx); of != call || key.Or(ctx, -1) != before {
					t.Errorf("the context has %d of %p, the attempt %d of %p", key.Or(ctx, -1), of, before, call)
				}
				if got := key.GetOrSet(call, 99); got != before {
					t.Errorf("GetOrSet returned %d, want %d", got, before)
				}
				key.Set(call, before+2)
				if before == 10 {
					return status.Error(codes.Unavailable, "the first attempt fails")
				}
				return next(ctx, call)
			})
			if err := clientCall(hauberk.Must(hauberk.New(outer, hedge, inner)), kind)(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestUserKey: the user is the subject of the identity, in the call and its copies, unless it is set.
func TestUserKey(t *testing.T) {
	hauberktest.CheckLeaks(t)
	type seen struct {
		user string
		ok   bool
	}
	var got []seen
	look := func(call *hauberk.Call) {
		user, ok := hauberk.UserKey.Get(call)
		got = append(got, seen{user, ok})
	}
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		look(call)
		hauberk.IdentityKey.Set(call, nil)
		look(call)
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: "alice"})
		look(call)
		look(call.Attempt())
		got = append(got, seen{hauberk.UserKey.GetOrSet(call, "bob"), true})
		hauberk.UserKey.Set(call, "carol")
		look(call)
		return next(ctx, call)
	})
	if err := unaryHandler(hauberk.Must(hauberk.New(interceptor)))(); err != nil {
		t.Fatal(err)
	}
	none, alice := seen{}, seen{"alice", true}
	if want := []seen{none, none, alice, alice, alice, {"carol", true}}; !slices.Equal(got, want) {
		t.Errorf("the users are %v, want %v", got, want)
	}
	if user := hauberk.UserKey.Or(context.Background(), "no one"); user != "no one" {
		t.Errorf("outside of calls the user is %q", user)
	}
}

func TestStateOutsideOfCalls(t *testing.T) {
	if v, ok := userKey.FromContext(t.Context()); v != "" || ok {
		t.Errorf("Get outside of calls: %q, %t", v, ok)
	}
	if v := userKey.Or(t.Context(), "no one"); v != "no one" {
		t.Errorf("Or outside of calls: %q", v)
	}
	if v, ok := userKey.Get(nil); v != "" || ok {
		t.Errorf("From(nil): %q, %t", v, ok)
	}
}

// TestMisusedKeys panics with what is wrong.
func TestMisusedKeys(t *testing.T) {
	var zero hauberk.Key[string]
	if zero.Name() != "" || userKey.Name() != "user" {
		t.Errorf("names %q and %q", zero.Name(), userKey.Name())
	}
	stateCall(t, func(ctx context.Context, call *hauberk.Call) {
		for name, c := range map[string]struct {
			misuse func()
			want   string
		}{
			"Set of a zero key":         {func() { zero.Set(call, "x") }, "a zero Key was used"},
			"FromContext of a zero key": {func() { zero.FromContext(ctx) }, "a zero Key was used"},
			"Get of a zero key":         {func() { zero.Get(call) }, "a zero Key was used"},
			"Set on a nil call":         {func() { userKey.Set(nil, "x") }, "the key user was set on a nil Call"},
		} {
			func() {
				defer func() {
					if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "hauberk: "+c.want) {
						t.Errorf("%s: panic %q, want %q", name, got, c.want)
					}
				}()
				c.misuse()
			}()
		}
	})
}
