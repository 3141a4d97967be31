package audit_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// Admitted without its interceptor is an error, and so is an interceptor that is there twice.
func TestOrder(t *testing.T) {
	x := audit.New(audit.Config{}, new(journal))
	if _, err := hauberk.New(x.Admitted(), x); err == nil || !strings.Contains(err.Error(), "audit") {
		t.Errorf("Admitted outside: %v", err)
	}
	if _, err := hauberk.New(x, x); err == nil {
		t.Error("the same interceptor twice is no error")
	}
	excepted := hauberk.Except(hauberk.Health, x)
	if _, err := hauberk.New(excepted, x.Admitted()); err == nil || !strings.Contains(err.Error(), "does not run for") {
		t.Errorf("Admitted for methods without audit: %v", err)
	}
	if _, err := hauberk.New(excepted, hauberk.Except(hauberk.Health, x.Admitted())); err != nil {
		t.Error(err)
	}
	y := audit.New(audit.Config{}, new(journal))
	if _, err := hauberk.New(x, y, x.Admitted(), y.Admitted()); err != nil {
		t.Error(err)
	}
	authn := hauberk.Declare(identify, hauberk.Declaration{Phase: hauberk.PhaseAuthn})
	for _, test := range []struct {
		chain []hauberk.Interceptor
		want  int
	}{
		{[]hauberk.Interceptor{x, quiet(), authn, x.Admitted()}, 0},
		{[]hauberk.Interceptor{quiet(), x, authn}, 1},
		{[]hauberk.Interceptor{authn, x}, 1},
		{[]hauberk.Interceptor{x, x.Admitted(), authn}, 1},
	} {
		if got := hauberk.Must(hauberk.New(test.chain...)).Lint(hauberk.ServerSide); len(got) != test.want {
			t.Errorf("%v; want %d findings", got, test.want)
		}
	}
}

// A sink that is nil is an error at the start, also if it is that of an OpenFile whose error was not looked at.
func TestNilSink(t *testing.T) {
	file, _ := audit.OpenFile(audit.FileConfig{})
	for name, sink := range map[string]audit.Sink{"nil": nil, "file": file, "function": audit.SinkFunc(nil), "slog": audit.Slog(nil, 0)} {
		if _, err := hauberk.New(audit.New(audit.Config{}, sink)); err == nil || !strings.Contains(err.Error(), "nil sink") {
			t.Errorf("%s: %v; want an error about a nil sink", name, err)
		}
	}
}

// Paths that do not fit the requests are errors when the server starts, with what would be right.
func TestPaths(t *testing.T) {
	const all = "hauberk.test.v1.TestService/*"
	for name, test := range map[string]struct {
		requests []audit.Request
		want     string // in the error; "" for none
	}{
		"fits":              {[]audit.Request{{Methods: []string{all}, Fields: []string{"text"}}}, ""},
		"no such field":     {[]audit.Request{{Methods: []string{all}, Fields: []string{"txt"}}}, `"txt": there is no field txt in hauberk.test.v1.Request, which has text`},
		"another case":      {[]audit.Request{{Methods: []string{all}, Fields: []string{"Text"}}}, "which has text"},
		"into a text":       {[]audit.Request{{Methods: []string{all}, Fields: []string{"text.x"}}}, `"text.x" continues after text, which is string`},
		"the second path":   {[]audit.Request{{Methods: []string{all}, Fields: []string{"text", "no"}}}, "audit.Config.Requests[0].Fields: no request has the field"},
		"the second":        {[]audit.Request{{Methods: []string{"hauberk.test.v1.TestService/Unary"}, All: true}, {Methods: []string{all}, Fields: []string{"no"}}}, "audit.Config.Requests[1].Fields: "},
		"never the first":   {[]audit.Request{{Methods: []string{all}, All: true}, {Methods: []string{"*"}, Fields: []string{"text"}}}, "audit.Config.Requests[1] has no effect"},
		"no such method":    {[]audit.Request{{Methods: []string{"a.B/*"}, Fields: []string{"text"}}}, `audit.Config.Requests[0].Methods("a.B/*")`},
		"one of the method": {[]audit.Request{{Methods: []string{"hauberk.test.v1.TestService/Unary", "a.B/*"}, All: true}}, "a.B/*"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := hauberk.Must(hauberk.New(audit.New(audit.Config{Requests: test.requests}, new(journal)))).NewServer()
			defer srv.Stop()
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
			err := srv.Coverage().Err()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}

// New reports everything that is wrong at once.
func TestBadConfig(t *testing.T) {
	_, err := hauberk.New(audit.New(audit.Config{
		Start: 9, Timeout: -1, Queue: -1, MaxWrites: -1, MaxFields: -1, MaxValue: -1, MaxBytes: 1 << 30, Redact: []string{"no.such.Field.x", "a b"},
		Requests: []audit.Request{{}, {Methods: []string{"x"}, All: true, Fields: []string{"a..b", "c", "c"}}},
	}, nil, nil, audit.State("", hauberk.Key[string]{}), audit.WithFailed(nil), audit.WithTypes(nil), audit.WithClock(nil)))
	for _, want := range []string{
		"Start is Start(9)", "Timeout is -1ns", "Queue is -1; want 1", "Queue is -1 without BestEffort",
		"MaxWrites is -1", "MaxFields is -1", "MaxValue is -1", "MaxBytes is 1073741824",
		"a b", "Requests[0] has no Methods", "Requests[0] has All false", `Requests[1].Methods has "x"`, "Requests[1] has All true",
		`Requests[1].Fields[0]: the path "a..b" has "" as a name`, `Requests[1].Fields has "c" twice`, "New was given a nil sink", "option 1 of New is nil",
		"a key without a name", "WithFailed was given", "WithTypes was given", "WithClock was given",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	_, err = hauberk.New(audit.New(audit.Config{Start: audit.StartNone, Redact: []string{"no.such.Field"}}, audit.Slog(nil, 0),
		audit.State("a", requestID), audit.State("a", requestID)))
	for _, want := range []string{"StartNone without BestEffort", "not a field of a known message", `State "a" is there twice`, "nil sink"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	if _, err := hauberk.New(new(audit.Interceptor)); err == nil || !strings.Contains(err.Error(), "audit.New") {
		t.Errorf("a zero Interceptor: %v", err)
	}
}

// Explain has the settings for a method.
func TestSettings(t *testing.T) {
	x := audit.New(audit.Config{
		BestEffort: true, Start: audit.StartNone,
		Requests: []audit.Request{
			{Methods: []string{"shop.v1.Cart/*"}, Fields: []string{"a.b", "c"}}, {Methods: []string{"shop.v1.Shop/*"}, All: true},
		},
	}, new(journal))
	for _, test := range []struct {
		x            *audit.Interceptor
		method, want string
	}{
		{audit.New(audit.Config{}, new(journal)), "shop.v1.Cart/Get", "fail closed; streams"},
		{audit.New(audit.Config{Start: audit.StartAll}, new(journal)), "shop.v1.Cart/Get", "fail closed; all calls"},
		{x, "shop.v1.Cart/Get", "best effort; none; a.b, c"},
		{x, "shop.v1.Shop/Open", "best effort; none; all"},
		{x, "other.v1.Shop/Open", "best effort; none"},
	} {
		var got []string
		for _, s := range test.x.Declare().Settings(test.method) {
			got = append(got, s.Value)
		}
		if text := strings.Join(got, "; "); text != test.want {
			t.Errorf("%s: %s; want %s", test.method, text, test.want)
		}
	}
}
