package transform_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

func TestConfigurationErrors(t *testing.T) {
	md := func(m transform.Metadata) transform.Config { return transform.Config{Metadata: m} }
	tests := []struct {
		name   string
		config transform.Config
		want   string
	}{
		{
			"empty key", md(transform.Metadata{Add: metadata.MD{"": {"v"}}}),
			`Config.Metadata.Add: bad key ""; want letters, digits, "-", "_" and "."`,
		},
		{"space in a key", md(transform.Metadata{Set: metadata.MD{"x y": {"v"}}}), `Config.Metadata.Set: bad key "x y"`},
		{"pseudo-header", md(transform.Metadata{Remove: []string{":path"}}), `Config.Metadata.Remove: bad key ":path"`},
		{"not ASCII", md(transform.Metadata{Remove: []string{"ä"}}), `bad key "ä"`},
		{
			"gRPC's", md(transform.Metadata{Set: metadata.MD{"GRPC-Timeout": {"1S"}}}),
			`Config.Metadata.Set: key "grpc-timeout" is reserved for gRPC and HTTP/2`,
		},
		{"HTTP/2's", md(transform.Metadata{Remove: []string{"Content-Type"}}), `key "content-type" is reserved`},
		{"a connection's", transform.Config{Header: metadata.MD{"connection": {"close"}}}, `Config.Header: key "connection" is reserved`},
		{"in a trailer", transform.Config{Trailer: metadata.MD{"grpc-status": {"0"}}}, `Config.Trailer: key "grpc-status" is reserved`},
		{"rename from", md(transform.Metadata{Rename: map[string]string{"te": "x-a"}}), `Config.Metadata.Rename: key "te" is reserved`},
		{"rename to", md(transform.Metadata{Rename: map[string]string{"x-a": "te"}}), `Config.Metadata.Rename: key "te" is reserved`},
		{
			"rename twice", md(transform.Metadata{Rename: map[string]string{"x-a": "x-b", "X-A": "x-c"}}),
			`Config.Metadata.Rename: key "x-a" occurs twice`,
		},
		{
			"rename binary", md(transform.Metadata{Rename: map[string]string{"x-a-bin": "x-a"}}),
			`Config.Metadata.Rename: key "x-a-bin" becomes "x-a"; want both with the suffix "-bin", or neither`,
		},
		{"set twice", md(transform.Metadata{Set: metadata.MD{"x-a": {"v"}, "X-A": {"v"}}}), `Config.Metadata.Set: key "x-a" occurs twice`},
		{
			"no values", md(transform.Metadata{Set: metadata.MD{"x-a": {}}}),
			`Config.Metadata.Set: key "x-a" has no values; want at least one`,
		},
		{
			"split header", md(transform.Metadata{Add: metadata.MD{"x-a": {"v\r\nx-b: w"}}}),
			`Config.Metadata.Add: key "x-a" has the value "v\r\nx-b: w"; want printable ASCII, or a key that ends in "-bin"`,
		},
		{"value not ASCII", md(transform.Metadata{Add: metadata.MD{"x-a": {"ä"}}}), `has the value "ä"`},
		{
			"negative",
			transform.Config{Timeout: -1, DefaultTimeout: -2, MaxTimeout: -3},
			"Config.Timeout is -1ns; want more than 0, or 0 to keep deadlines",
		},
		{"none and some", transform.Config{NoTimeout: true, MaxTimeout: 1}, "Config.NoTimeout and a timeout are set"},
		{"without effect", transform.Config{Timeout: 1, DefaultTimeout: 1}, "Config.Timeout and DefaultTimeout are set"},
		{
			"above the most",
			transform.Config{DefaultTimeout: time.Minute, MaxTimeout: time.Second},
			"Config.MaxTimeout is 1s, below the timeout of 1m0s; want at least that",
		},
		{"compressor", transform.Config{Compressor: "lz77"}, `Config.Compressor is "lz77", which is not registered`},
		{"method without slash", transform.Config{Method: "a.B/C"}, `Config.Method is "a.B/C"; want "/package.Service/Method"`},
		{"method without service", transform.Config{Method: "//C"}, `Config.Method is "//C"`},
		{"method with too much", transform.Config{Method: "/a/B/C"}, `Config.Method is "/a/B/C"`},
		{
			"from OK",
			transform.Config{Statuses: []transform.Status{{To: codes.Aborted}}},
			"Config.Statuses[0]: OK becomes Aborted; want codes of gRPC, 1 to 16",
		},
		{"to OK", transform.Config{Statuses: []transform.Status{{From: codes.Aborted}}}, "Config.Statuses[0]: Aborted becomes OK"},
		{"no such code", transform.Config{Statuses: []transform.Status{{From: 17, To: codes.Aborted}}}, "Code(17) becomes Aborted"},
		{"from twice", transform.Config{Statuses: []transform.Status{
			{From: codes.Aborted, To: codes.NotFound}, {From: codes.Aborted, To: codes.Internal},
		}}, "Config.Statuses[1]: Aborted is replaced a second time"},
		{"two messages", transform.Config{Statuses: []transform.Status{
			{From: codes.Aborted, To: codes.NotFound, Message: "m", KeepMessage: true},
		}}, `Config.Statuses[0]: the Message "m" and KeepMessage are set; want one of them`},
		{
			"no side",
			transform.Config{Method: "/a.B/C", NoTimeout: true, Trailer: metadata.MD{"x-a": {"v"}}},
			"NoTimeout, Method works only on clients, Trailer only on servers; want an interceptor for each",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantConfigError(t, transform.New(test.config), test.want) })
	}
}

func TestOptionErrors(t *testing.T) {
	var header metadata.MD
	tests := []struct {
		name   string
		option transform.Option
		want   string
	}{
		{"no credentials", transform.WithCredentials(nil), "the credentials of WithCredentials are nil"},
		{"no option", transform.WithCallOptions(nil), "an option of WithCallOptions is nil"},
		{"one call's", transform.WithCallOptions(grpc.Header(&header)), "an option of WithCallOptions is a grpc.HeaderCallOption, which is for one call"},
		{"no function", transform.Requests[any](nil), "the function of Requests is nil"},
		{"no edit", transform.EditResponses[any](nil), "the function of EditResponses is nil"},
		{"not a message", transform.EditRequests(func(int) error { return nil }), "EditRequests is for int, which is no message"},
		{"not a pointer", transform.EditRequests(func(struct{}) error { return nil }), "want a pointer to a message, or an interface"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantConfigError(t, transform.New(transform.Config{}, test.option), test.want) })
	}
}

func wantConfigError(t *testing.T, x hauberk.Interceptor, want string) {
	t.Helper()
	_, err := hauberk.New(x)
	if err == nil || !strings.HasPrefix(err.Error(), "hauberk: interceptor 1: transform: ") || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want an error of transform with %s in it", err, want)
	}
}

// An interceptor with a setting for one side works on that side only.
func TestSides(t *testing.T) {
	for name, test := range map[string]struct {
		x    *transform.Interceptor
		want hauberk.Sides
	}{
		"nothing":      {transform.New(transform.Config{}), hauberk.BothSides},
		"MaxTimeout":   {transform.New(transform.Config{MaxTimeout: time.Hour}), hauberk.BothSides},
		"Timeout":      {transform.New(transform.Config{Timeout: time.Hour}), hauberk.OnlyClients},
		"NoTimeout":    {transform.New(transform.Config{NoTimeout: true}), hauberk.OnlyClients},
		"Method":       {transform.New(transform.Config{Method: testpb.TestService_Unary_FullMethodName}), hauberk.OnlyClients},
		"WaitForReady": {transform.New(transform.Config{WaitForReady: new(true)}), hauberk.OnlyClients},
		"credentials":  {transform.New(transform.Config{}, transform.WithCredentials(apiKey("k"))), hauberk.OnlyClients},
		"call options": {
			transform.New(transform.Config{}, transform.WithCallOptions(grpc.MaxCallRecvMsgSize(1<<20))), hauberk.OnlyClients,
		},
		"Header":  {transform.New(transform.Config{Header: metadata.MD{"x-a": {"v"}}}), hauberk.OnlyServers},
		"Trailer": {transform.New(transform.Config{Trailer: metadata.MD{"x-a": {"v"}}}), hauberk.OnlyServers},
	} {
		if got := test.x.Declare().Sides; got != test.want {
			t.Errorf("%s: Sides is %v, want %v", name, got, test.want)
		}
	}
}

// All errors of a configuration are reported at once.
func TestAllErrors(t *testing.T) {
	_, err := hauberk.New(transform.New(transform.Config{
		Timeout: 2, DefaultTimeout: 3, MaxTimeout: 1, NoTimeout: true, Compressor: "none", Method: "Get",
		Metadata: transform.Metadata{Remove: []string{"a b"}}, Header: metadata.MD{"c d": {"v"}},
		Statuses: []transform.Status{{From: codes.OK}, {From: codes.Aborted}},
	}))
	for _, want := range []string{
		"NoTimeout", "DefaultTimeout", "MaxTimeout", "Compressor", "Method", "Metadata.Remove", "Header", "Statuses[0]", "Statuses[1]",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}
