package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// TestContestNames: budgets and bases name variants of their contest.
func TestContestNames(t *testing.T) {
	for _, c := range inProcessContests() {
		named := func(name string) bool {
			return slices.ContainsFunc(c.variants, func(v variant) bool { return v.name == name })
		}
		for name := range c.budgets {
			if !named(name) {
				t.Errorf("%s: a budget is for %q, which is no variant", c.name, name)
			}
		}
		for name, base := range c.bases {
			if !named(name) || !named(base) {
				t.Errorf("%s: %q is compared with %q; want variants", c.name, name, base)
			}
		}
	}
}

// TestTokens: both sides of the contest admit a valid token and reject
// a forged one.
func TestTokens(t *testing.T) {
	authorization, err := newAuthorization()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := forgedAuthorization()
	if err != nil {
		t.Fatal(err)
	}
	each := verifyEachTime()
	for _, tt := range []struct {
		name, authorization string
		good                bool
	}{
		{"valid", authorization, true},
		{"another signature", forged, false},
		{"no JWT", "Bearer abc", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := newJWT(-1).Validate(t.Context(), strings.TrimPrefix(tt.authorization, "Bearer "))
			if (err == nil) != tt.good || tt.good && id.Subject != tokenUser {
				t.Errorf("Validate: %v, %v; want good: %t", id, err, tt.good)
			}
			md := metadata.Pairs("authorization", tt.authorization)
			ctx, err := each(metadata.NewIncomingContext(context.Background(), md))
			if !tt.good {
				wantCode(t, err, codes.Unauthenticated)
			} else if err != nil || ctx.Value(userKey{}) != tokenUser {
				t.Errorf("each time: %v; want the user %q", err, tokenUser)
			}
		})
	}
}
