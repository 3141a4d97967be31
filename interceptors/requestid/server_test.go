package requestid_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// A server accepts one well-formed value only. The metadata does not change without
// Config.SetMetadata.
func TestServerAccepts(t *testing.T) {
	tests := []struct {
		name     string
		sent     []string
		accepted bool
	}{
		{"nothing", nil, false},
		{"one", []string{"abc-DEF_1.2"}, true},
		{"longest", []string{strings.Repeat("x", 128)}, true},
		{"too long", []string{strings.Repeat("x", 129)}, false},
		{"empty", []string{""}, false},
		{"two", []string{"a", "b"}, false},
		{"two alike", []string{"a", "a"}, false},
		{"joined", []string{"a,b"}, false},
		{"space", []string{"a b"}, false},
		{"quote", []string{`a"b`}, false},
		{"control sequence", []string{"a;[31m"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range kinds {
				for _, set := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/set metadata %t", kind, set), func(t *testing.T) {
						testServerAccepts(t, kind, requestid.Config{SetMetadata: set}, test.sent, test.accepted)
					})
				}
			}
		})
	}
}

func testServerAccepts(t *testing.T, kind hauberk.Kind, config requestid.Config, sent []string, accepted bool) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
	interceptor, backend, seen := watch()
	env := c.StartWith(t, backend, requestid.New(config), interceptor)
	out := env.Call(metadata.NewOutgoingContext(t.Context(), metadata.MD{header: sent, "other": {"kept"}}))
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	if accepted && seen.interceptor != sent[0] {
		t.Errorf("the state has %q; want the caller's %q", seen.interceptor, sent[0])
	}
	if !accepted && !uuid.MatchString(seen.interceptor) {
		t.Errorf("the state has %q; want a new id", seen.interceptor)
	}
	equal(t, "response header", out.Header.Get(header), seen.interceptor)
	if !config.SetMetadata {
		equal(t, "request metadata", seen.metadata, sent...)
		return
	}
	equal(t, "request metadata", seen.metadata, seen.interceptor)
}

func TestServerIgnoresIncoming(t *testing.T) {
	hauberktest.CheckLeaks(t)
	interceptor, backend, seen := watch()
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	env := c.StartWith(t, backend, requestid.New(requestid.Config{IgnoreIncoming: true}), interceptor)
	out := env.Call(metadata.AppendToOutgoingContext(t.Context(), header, "theirs"))
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	if !uuid.MatchString(seen.interceptor) {
		t.Errorf("the state has %q; want a new id", seen.interceptor)
	}
	equal(t, "request metadata", seen.metadata, "theirs")
}
