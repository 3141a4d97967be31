package authzext_test

import (
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// What the service sets replaces what the client sends, unless the service says otherwise.
func TestHandlerMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		ok        *authv3.OkHttpResponse
		sent, new []string // x-sent, of which the client sends "1" and "2", and x-new
	}{
		"nothing":             {&authv3.OkHttpResponse{}, []string{"1", "2"}, nil},
		"default":             {edits(0), []string{"s"}, []string{"s"}},
		"add if absent":       {edits(corev3.HeaderValueOption_ADD_IF_ABSENT), []string{"1", "2"}, []string{"s"}},
		"overwrite or add":    {edits(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD), []string{"s"}, []string{"s"}},
		"overwrite if exists": {edits(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS), []string{"s"}, nil},
		"append":              {headers(appended("x-sent", "s", true), appended("x-new", "s", true)), []string{"1", "2", "s"}, []string{"s"}},
		"append is false":     {headers(appended("x-sent", "s", false), appended("x-new", "s", false)), []string{"s"}, []string{"s"}},
		"append wins":         {headers(both()), []string{"1", "2", "s"}, nil},
		"twice":               {headers(header("x-new", "a", 0), header("x-new", "b", 0)), []string{"1", "2"}, []string{"b"}},
		"set, then append":    {headers(header("x-sent", "a", 0), appended("x-sent", "b", true)), []string{"a", "b"}, nil},
		"upper case":          {headers(header("X-Sent", "s", 0)), []string{"s"}, nil},
		"empty":               {headers(header("x-sent", "", 0)), []string{""}, nil},
		"raw":                 {headers(&corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-sent", RawValue: []byte("raw")}}), []string{"raw"}, nil},
		"removed":             {&authv3.OkHttpResponse{HeadersToRemove: []string{"X-Sent", ":authority", "x-none", "content-type"}}, nil, nil},
		"set and removed": {
			&authv3.OkHttpResponse{Headers: headers(header("x-sent", "s", 0)).GetHeaders(), HeadersToRemove: []string{"x-sent"}}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				s := start(t, c, ext(t, always(allow(test.ok)), authzext.Config{}))
				if err := s.Call(with(t.Context(), "x-sent", "1", "x-sent", "2")).Err; err != nil {
					t.Fatal(err)
				}
				md := *s.seen.Load()
				if !slices.Equal(md["x-sent"], test.sent) || !slices.Equal(md["x-new"], test.new) {
					t.Errorf("the handler sees %q and %q, want %q and %q", md["x-sent"], md["x-new"], test.sent, test.new)
				}
				if len(md[":authority"]) != 1 || len(md["content-type"]) != 1 {
					t.Errorf("the handler sees %v", md)
				}
			})
		})
	}
}

func headers(list ...*corev3.HeaderValueOption) *authv3.OkHttpResponse {
	return &authv3.OkHttpResponse{Headers: list}
}

func edits(action corev3.HeaderValueOption_HeaderAppendAction) *authv3.OkHttpResponse {
	return headers(header("x-sent", "s", action), header("x-new", "s", action))
}

// both is a header with both fields for one thing.
func both() *corev3.HeaderValueOption {
	h := appended("x-sent", "s", true)
	h.AppendAction = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	return h
}

// Values of binary keys are in base64 in the answer, with or without padding.
func TestBinaryMetadata(t *testing.T) {
	resp := setting(header("x-a-bin", "AQI", 2), header("x-b-bin", "AQI=", 2))
	s := start(t, hauberktest.Case{}, ext(t, always(resp), authzext.Config{}))
	if err := s.Call(with(t.Context(), "x-a-bin", "\xff")).Err; err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"x-a-bin", "x-b-bin"} {
		if got := (*s.seen.Load())[key]; !slices.Equal(got, []string{"\x01\x02"}) {
			t.Errorf("%s: %q", key, got)
		}
	}
}

// What only the service may set never comes from the client: if the service adds to it, if it
// does not set it, and if it fails open. The service does not receive it either.
func TestSpoofedHeaders(t *testing.T) {
	config := authzext.Config{OwnHeaders: []string{"X-User", "x-claim-*"}, FailOpen: true}
	for name, test := range map[string]struct {
		resp *authv3.CheckResponse
		user []string
	}{
		"not set":       {allowed(), nil},
		"set":           {setting(header("x-user", "alice", 0)), []string{"alice"}},
		"added":         {setting(appended("x-user", "alice", true)), []string{"alice"}},
		"if absent":     {setting(header("x-user", "alice", corev3.HeaderValueOption_ADD_IF_ABSENT)), []string{"alice"}},
		"failed open":   {reports(13, 0), nil},
		"status denies": {deny(403), nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				svc := always(test.resp)
				s := start(t, c, ext(t, svc, config))
				_ = s.Call(with(t.Context(), "x-user", "root", "X-User", "root", "x-claim-role", "admin", "x-claims", "kept"))
				if sent := svc.http().GetHeaders(); sent["x-user"] != "" || sent["x-claim-role"] != "" || sent["x-claims"] != "kept" {
					t.Errorf("the service receives %v", sent)
				}
				md := s.seen.Load()
				if md == nil {
					return
				}
				if !slices.Equal((*md)["x-user"], test.user) || len((*md)["x-claim-role"]) > 0 || len((*md)["x-claims"]) != 1 {
					t.Errorf("the handler sees %v, want the user %q", *md, test.user)
				}
			})
		})
	}
}
