package audit_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// journal is a sink that keeps records. Safe for concurrent use.
type journal struct {
	mu   sync.Mutex
	all  []audit.Record
	fail func(r audit.Record) error // may be nil
}

func (j *journal) Write(_ context.Context, r audit.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		if err := j.fail(r); err != nil {
			return err
		}
	}
	j.all = append(j.all, r)
	return nil
}

// take returns the records since the last call.
func (j *journal) take() []audit.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.all
	j.all = nil
	return all
}

// checkStages checks that the records of one call have these stages.
func checkStages(t *testing.T, all []audit.Record, want ...audit.Stage) {
	t.Helper()
	if len(all) != len(want) {
		t.Fatalf("%d records; want %d: %+v", len(all), len(want), all)
	}
	for i := range all {
		if r := &all[i]; r.Stage != want[i] || r.Call == "" || r.Call != all[0].Call {
			t.Errorf("record %d is %+v; want stage %v of call %s", i, *r, want[i], all[0].Call)
		}
	}
}

func stagesOf(k hauberk.Kind) []audit.Stage {
	if k == hauberk.Unary {
		return []audit.Stage{audit.StageEnd}
	}
	return []audit.Stage{audit.StageStart, audit.StageEnd}
}

var requestID = hauberk.NewKey[string]("request_id")

// identify is what requestid and authn do.
var identify = hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	requestID.Set(call, "id\n1\xff")
	hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: "alice", Issuer: "idp", Tenant: "blue", Method: "jwt"})
	return next(ctx, call)
}), hauberk.Declaration{Name: "identify", Decides: true, Writes: []hauberk.StateKey{hauberk.IdentityKey}})

var errSecret = errors.New("the password is s3cret")

func quiet() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

// Calls of every kind on both sides have their records, however they end, with what is known at their end.
func TestRecords(t *testing.T) {
	for name, test := range map[string]struct {
		fail   func() error
		code   codes.Code
		reason string
		panics bool
	}{
		"OK":          {nil, codes.OK, "", false},
		"a status":    {func() error { return status.Error(codes.NotFound, "none") }, codes.NotFound, "", false},
		"an error":    {func() error { return errSecret }, codes.Unknown, "", false},
		"a panic":     {func() error { panic(errSecret) }, codes.Internal, "", true},
		"a rejection": {func() error { return hauberk.Reject(codes.PermissionDenied, "DENIED", "no") }, codes.PermissionDenied, "DENIED", false},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				x := audit.New(audit.Config{Requests: []audit.Request{{Methods: []string{"*"}, Fields: []string{"text", "secret"}}}},
					&j, audit.State("request_id", requestID))
				failing := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if test.fail != nil {
						return test.fail()
					}
					return next(ctx, call)
				})
				out := c.Start(t, x, quiet(), identify, failing).Call(t.Context())
				if status.Code(out.Err) != test.code {
					t.Fatalf("%v; want %v", out.Err, test.code)
				}
				all := j.take()
				checkStages(t, all, stagesOf(c.Kind)...)
				r := all[len(all)-1]
				if r.Code != test.code || r.Reason != test.reason && test.reason != "" || r.Panic != test.panics || r.Duration < 0 ||
					r.Side != c.Side.String() || r.Kind != c.Kind.String() ||
					r.Method != strings.TrimPrefix(hauberktest.FullMethod(c.Kind), "/") {
					t.Errorf("%+v", r)
				}
				if want := (audit.Who{Subject: "alice", Issuer: "idp", Tenant: "blue", Method: "jwt"}); r.Who != want {
					t.Errorf("who is %+v", r.Who)
				}
				if want := map[string]string{"request_id": "id\n1\uFFFD"}; !maps.Equal(r.State, want) {
					t.Errorf("state is %q", r.State)
				}
				if len(r.Decisions) == 0 || r.Decisions[0].Interceptor != "identify" {
					t.Errorf("decisions are %+v", r.Decisions)
				}
				if test.fail == nil && (r.Sent == 0 || r.Received == 0 || r.Peer == "" || r.Request["text"] != "hello" || len(r.Request) != 1) {
					t.Errorf("%+v; want messages, a peer and the text of the request", r)
				}
				if text, err := r.MarshalJSON(); err != nil || strings.Contains(string(text), "s3cret") {
					t.Errorf("%s, %v", text, err)
				}
			})
		})
	}
}

// Fields that are redacted are recorded as such, also in All. Others are recorded of the first request only.
func TestRequestFields(t *testing.T) {
	for name, test := range map[string]struct {
		request audit.Request
		config  audit.Config
		want    map[string]string
		cut     bool
	}{
		"fields": {
			audit.Request{Fields: []string{"count", "secret", "payload", "text"}},
			audit.Config{},
			map[string]string{"count": "7", "secret": "[redacted]", "payload": "Y2FuYXJ5", "text": "hello \"\u202f"},
			false,
		},
		"all": {
			audit.Request{All: true},
			audit.Config{Redact: []string{"text"}},
			map[string]string{"count": "7", "secret": "[redacted]", "payload": "Y2FuYXJ5", "text": "[redacted]"},
			false,
		},
		"too many":        {audit.Request{All: true}, audit.Config{MaxFields: 1}, map[string]string{"text": "hello \"\u202f"}, true},
		"too long values": {audit.Request{Fields: []string{"text"}}, audit.Config{MaxValue: 3}, map[string]string{"text": "hel…"}, true},
		"too long record": {audit.Request{Fields: []string{"count", "text"}}, audit.Config{MaxBytes: 6}, map[string]string{"count": "7"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				test.request.Methods = []string{"hauberk.test.v1.TestService/*"}
				config := test.config
				config.Requests = []audit.Request{{Methods: []string{"other.v1.*"}, All: true}, test.request}
				if c.Side == hauberk.ServerSide { // Serve rejects the pattern that matches nothing
					config.Requests = config.Requests[1:]
				}
				env := c.Start(t, audit.New(config, &j))
				first := &testpb.Request{Text: "hello \"\u202f", Count: 7, Secret: "canary", Payload: []byte("canary")}
				out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{first, {Text: "second"}})
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				all := j.take()
				r := all[len(all)-1]
				if !maps.Equal(r.Request, test.want) || r.Cut != test.cut {
					t.Errorf("request %q, cut %t; want %q, %t", r.Request, r.Cut, test.want, test.cut)
				}
			})
		})
	}
}

// Admitted writes the record at the start, with the identity and, for a single request, its fields. Calls that
// are rejected outside of it have no such record.
func TestAdmitted(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		x := audit.New(audit.Config{Start: audit.StartAll, Requests: []audit.Request{{Methods: []string{"*"}, Fields: []string{"text"}}}}, &j)
		reject := false
		limit := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if reject {
				return hauberk.Reject(codes.ResourceExhausted, "LIMITED", "later")
			}
			return next(ctx, call)
		})
		var before []audit.Record
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			before = j.take()
			return next(ctx, call)
		})
		env := c.Start(t, x, identify, limit, x.Admitted(), look)
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		checkStages(t, append(before, j.take()...), audit.StageStart, audit.StageEnd)
		if before[0].Who.Subject != "alice" || len(before[0].Decisions) == 0 {
			t.Errorf("%+v; want the identity and decisions", before[0])
		}
		if got := before[0].Request["text"]; (got == "hello") == c.Kind.ClientStreams() {
			t.Errorf("the text of the request is %q", got)
		}
		reject = true
		_ = env.Call(t.Context())
		checkStages(t, j.take(), audit.StageEnd)
	})
}

// If Admitted does not run, the first response waits for the record at the start.
func TestAdmittedDoesNotRun(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		x := audit.New(audit.Config{}, &j)
		_ = x.Admitted()
		out := c.Start(t, x).Call(t.Context())
		want := []audit.Stage{audit.StageEnd}
		if c.Kind.ServerStreams() {
			want = []audit.Stage{audit.StageStart, audit.StageEnd}
		}
		checkStages(t, j.take(), want...)
		if out.Err != nil {
			t.Error(out.Err)
		}
		j.fail = func(audit.Record) error { return io.ErrShortWrite }
		if out = c.Start(t, x).Call(t.Context()); hauberk.Reason(out.Err) != audit.ReasonFailed || len(out.Responses) != 0 {
			t.Errorf("%+v; want no response", out)
		}
	})
}

// A panic without recovery is recorded, and goes on.
func TestUnwound(t *testing.T) {
	var j journal
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic ended")
			}
		}()
		chain := hauberk.Must(hauberk.New(audit.New(audit.Config{}, &j),
			hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic(errSecret) })))
		_ = hauberktest.Direct{}.Server(chain)(t.Context())
	}()
	if all := j.take(); len(all) != 1 || !all[0].Panic || all[0].Code != codes.Internal {
		t.Errorf("%+v; want the panic", all)
	}
}

// Methods that the server does not have are recorded by the names that the client has chosen, cut.
func TestUnknownMethod(t *testing.T) {
	var j journal
	x := audit.New(audit.Config{}, &j)
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}.Start(t, x)
	name := "/a.B/" + strings.Repeat("C", 1000)
	if err := env.Client.Invoke(t.Context(), name, new(testpb.Request), new(testpb.Response)); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	all := j.take()
	if r := all[len(all)-1]; r.Code != codes.Unimplemented || !strings.HasPrefix(r.Method, "a.B/CCC") || len(r.Method) > 260 || !r.Cut {
		t.Errorf("%+v", r)
	}
}

// The client that leaves before its response has its record.
func TestCancelled(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, ended := journal{}, make(chan audit.Record, 1)
		x := audit.New(audit.Config{}, audit.SinkFunc(func(ctx context.Context, r audit.Record) error {
			if ctx.Err() != nil {
				t.Error("the context of the sink has ended with the call")
			}
			if r.Stage == audit.StageEnd {
				ended <- r
			}
			return j.Write(ctx, r)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}}
		_ = c.StartWith(t, backend, x).Call(ctx)
		if r := <-ended; r.Code != codes.Canceled {
			t.Errorf("%+v", r)
		}
	})
}

// A clock that goes back gives no negative durations.
func TestClock(t *testing.T) {
	var j journal
	now := time.Unix(100, 0)
	x := audit.New(audit.Config{}, &j, audit.WithClock(func() time.Time {
		now = now.Add(-time.Second)
		return now
	}))
	_ = hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))(t.Context())
	if all := j.take(); len(all) != 1 || all[0].Duration != 0 || !all[0].Time.Equal(time.Unix(98, 0)) {
		t.Errorf("%+v", all)
	}
}

// A call with a record, and a sink that does nothing, allocates a bounded number of objects.
func TestAllocations(t *testing.T) {
	allocs := func(x ...hauberk.Interceptor) float64 {
		call, ctx := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x...))), t.Context()
		return testing.AllocsPerRun(100, func() { _ = call(ctx) })
	}
	nothing := audit.SinkFunc(func(context.Context, audit.Record) error { return nil })
	if more := allocs(audit.New(audit.Config{}, nothing)) - allocs(); more > 16 {
		t.Errorf("%v more allocations; want at most 16", more)
	}
}
