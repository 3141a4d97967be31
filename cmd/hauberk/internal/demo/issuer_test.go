package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// The shop accepts tokens of both keys of the issuer, and no others.
func TestKeyRotates(t *testing.T) {
	hauberktest.CheckLeaks(t)
	clock := hauberktest.NewClock()
	i, err := openIssuer(t.Context(), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	v := i.accepted(authnjwt.WithClock(clock.Now))
	defer func() {
		v.Close()
		if err := i.close(); err != nil {
			t.Error(err)
		}
	}()
	token := func(name string) string {
		source, err := i.credential(name)
		if err != nil {
			t.Fatal(err)
		}
		token, err := source(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := token(anna)
	if token(anna) != first {
		t.Error("a token is signed twice with the same key")
	}
	accepts(t, v, first, nil)
	clock.Advance(signAfter)
	second := token(anna)
	if second == first {
		t.Error("the key has not rotated")
	}
	accepts(t, v, second, nil)
	accepts(t, v, first, nil)
	accepts(t, v, token(dora), authn.ErrTokenExpired)
	accepts(t, v, token(eve), authnjwt.ErrSignature)
	accepts(t, v, token(felix), authnjwt.ErrUnknownKey)
	clock.Advance(2 * lifetime)
	accepts(t, v, first, authn.ErrTokenExpired)
	accepts(t, v, token(anna), nil)
}

func accepts(t *testing.T, v *authnjwt.Validator, token string, want error) {
	t.Helper()
	id, err := v.Validate(t.Context(), token)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("identity %v, error %v; want %v", id, err, want)
	}
}

// The call that the demo prints has a token that works, for at least half of its lifetime.
func TestPrintedToken(t *testing.T) {
	st := open(t)
	opening, err := st.story("")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(opening.grpcurl(), "'authorization: ")
	value, _, _ := strings.Cut(rest, "'")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	if _, err := shoppb.NewCartClient(st.conn).Get(ctx, &shoppb.GetRequest{CartId: "anna"}); err != nil {
		t.Errorf("the call of %q: %v", opening.grpcurl(), err)
	}
}
