package validate_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

// A valid call passes, with every setting.
func TestValid(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		e := start(t, c, validate.New(validate.Config{Responses: true, Sent: true, Strict: true}))
		ids, err := e.call(t, order("a"))
		if err != nil || !strings.HasSuffix(ids, "a") || e.service.seen() != "a" {
			t.Errorf("the call returned %q, %v; the service received %q", ids, err, e.service.seen())
		}
		e.ended()
		if len(e.decisions) != 1 || e.decisions[0].Verdict != hauberk.Allowed {
			t.Errorf("the decisions are %+v; want that it was allowed", e.decisions)
		}
	})
}

// An invalid request ends the call with INVALID_ARGUMENT and its violations, on the side that
// receives it and on the side that sends it. It does not reach the handler.
func TestInvalidRequest(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		e := start(t, c, validate.New(requests(c)))
		_, err := e.call(t, badOrder())
		want(t, err, codes.InvalidArgument, validate.ReasonInvalidRequest)
		wantFields := []string{
			"items[1].sku: does not match regex pattern `^[a-z]+$` [string.pattern]",
			"items[1].count: must be greater than 0 [int32.gt]",
		}
		if got := fieldsOf(err); !slices.Equal(got, wantFields) {
			t.Errorf("the violations are %q; want %q", got, wantFields)
		}
		if m := hauberk.StatusOf(err).Message(); m != "Invalid request: "+wantFields[0]+" (and 1 more)" {
			t.Errorf("the message is %q", m)
		}
		if seen := e.service.seen(); seen != "" {
			t.Errorf("the service received %q", seen)
		}
		inner := <-e.outcomes
		var all *protovalidate.ValidationError
		if !errors.Is(inner, validate.ErrInvalid) || !errors.As(inner, &all) || len(all.Violations) != 2 {
			t.Errorf("the chain ended with %v, without the validation error", inner)
		}
		if len(e.decisions) != 1 || e.decisions[0] != (hauberk.Decision{
			Interceptor: "validate", Verdict: hauberk.Rejected,
			Reason: validate.ReasonInvalidRequest, Rule: "items[1].sku [string.pattern]",
		}) {
			t.Errorf("the decisions are %+v", e.decisions)
		}
	})
}

// An invalid response ends the call with INTERNAL on both sides, without its violations.
func TestInvalidResponse(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		e := start(t, c, validate.New(responses(c)))
		ids, err := e.call(t, badReceipt())
		want(t, err, codes.Internal, validate.ReasonInvalidResponse)
		if m := hauberk.StatusOf(err).Message(); m != "Invalid response" || fieldsOf(err) != nil {
			t.Errorf("the message is %q, the violations are %q", m, fieldsOf(err))
		}
		if got := ids; c.Kind == hauberk.ServerStream && got != "first" || c.Kind != hauberk.ServerStream && got != "" {
			t.Errorf("the caller received %q", got)
		}
		if inner := <-e.outcomes; !errors.Is(inner, validate.ErrInvalid) || !strings.Contains(hauberk.RejectionOf(inner).Cause.Error(), "Receipt: id: ") {
			t.Errorf("the chain ended with %v", inner)
		}
	})
}

// By default a server does not validate responses, and a client validates nothing.
func TestDefaults(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := validate.Config{}
		if c.Side == hauberk.ClientSide {
			config.Responses = true // it does not validate requests
			e := start(t, c, validate.New(config))
			if _, err := e.call(t, badOrder()); err != nil {
				t.Errorf("an invalid request of a client ended with %v", err)
			}
			return
		}
		e := start(t, c, validate.New(config))
		if _, err := e.call(t, badReceipt()); err != nil {
			t.Errorf("an invalid response of a server ended with %v", err)
		}
	})
}

// A client cannot have the zero configuration, which would do nothing there.
func TestSides(t *testing.T) {
	for config, want := range map[*validate.Config]hauberk.Sides{
		{}: hauberk.OnlyServers, {Sent: true}: hauberk.BothSides, {Responses: true}: hauberk.BothSides,
	} {
		if d := validate.New(*config).Declare(); d.Sides != want || d.Err != nil || d.Phase != hauberk.PhaseValidate {
			t.Errorf("%+v declares %+v; want the sides %v", *config, d, want)
		}
	}
}

// The messages of a stream ahead of an invalid one are delivered; then the stream ends.
func TestStreamEnds(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
			c := hauberktest.Case{Side: side, Kind: kind}
			t.Run(c.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				e := start(t, c, validate.New(requests(c)))
				_, err := e.call(t, order("a"), badOrder(), order("b"))
				want(t, err, codes.InvalidArgument, validate.ReasonInvalidRequest)
				if seen := e.service.seen(); seen != "a" && (side != hauberk.ClientSide || seen != "") {
					t.Errorf("the service received %q", seen)
				}
			})
		}
	}
}

// With Drop invalid messages of a stream are dropped, in both directions, and the others are
// delivered. A single one still ends the call.
func TestDrop(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := requests(c)
		config.Invalid = validate.Drop
		e := start(t, c, validate.New(config))
		ids, err := e.call(t, badOrder(), order("a"), badOrder(), order("b"))
		e.ended()
		if !c.Kind.ClientStreams() {
			want(t, err, codes.InvalidArgument, validate.ReasonInvalidRequest)
			return
		}
		if err != nil || e.service.seen() != "a b" || !strings.HasSuffix(ids, "b") {
			t.Errorf("the call returned %q, %v; the service received %q", ids, err, e.service.seen())
		}
		if len(e.decisions) != 2 || e.decisions[0].Verdict != hauberk.Rejected || e.decisions[0].Interceptor != "validate" {
			t.Errorf("the decisions are %+v; want two dropped messages", e.decisions)
		}
	})
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := responses(c)
		config.Invalid = validate.Drop
		e := start(t, c, validate.New(config))
		ids, err := e.call(t, badReceipt())
		switch {
		case !c.Kind.ServerStreams():
			want(t, err, codes.Internal, validate.ReasonInvalidResponse)
		case err != nil || ids != strings.Repeat("first", bit(c.Kind == hauberk.ServerStream)):
			t.Errorf("the call returned %q, %v", ids, err)
		}
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// With Answer the call ends with the application's message and OK.
func TestAnswer(t *testing.T) {
	for name, config := range map[string]func(hauberktest.Case) validate.Config{"requests": requests, "responses": responses} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				config := config(c)
				config.Invalid = validate.Answer
				answer := func(_ *hauberk.Call, r *hauberk.Rejection) ([]any, error) {
					return []any{&checkpb.Receipt{Id: "invalid:" + r.Reason}}, nil
				}
				e := start(t, c, validate.New(config, validate.WithAnswer(answer)))
				o := badOrder()
				if name == "responses" {
					o = badReceipt()
				}
				ids, err := e.call(t, o)
				if err != nil || !strings.Contains(ids, "invalid:INVALID_") {
					t.Errorf("the call returned %q, %v", ids, err)
				}
				if inner := <-e.outcomes; inner != nil || e.decisions[0].Verdict != hauberk.Rejected {
					t.Errorf("the chain ended with %v and the decisions %+v", inner, e.decisions)
				}
			})
		})
	}
}

// The error of the answer function is the outcome, in all kinds.
func TestAnswerError(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := requests(c)
		config.Invalid = validate.Answer
		e := start(t, c, validate.New(config, validate.WithAnswer(
			func(*hauberk.Call, *hauberk.Rejection) ([]any, error) {
				return nil, hauberk.Reject(codes.FailedPrecondition, "OWN_REASON", "own")
			})))
		_, err := e.call(t, badOrder())
		want(t, err, codes.FailedPrecondition, "OWN_REASON")
	})
}

// Excepted methods pass, by each form of pattern, and are not decided on.
func TestExcept(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, p := range []string{
			"*", "hauberk.validate.*", "hauberk.validate.test.v1.CheckService/*",
			checkpb.CheckService_Unary_FullMethodName, checkpb.CheckService_Bidi_FullMethodName,
			checkpb.CheckService_ClientStream_FullMethodName, checkpb.CheckService_ServerStream_FullMethodName,
		} {
			config := requests(c)
			config.Except = []string{"grpc.other.Service/*", p}
			e := start(t, c, validate.New(config))
			_, err := e.call(t, badOrder())
			excepted := !strings.HasPrefix(p, "/") || strings.EqualFold(strings.ReplaceAll(c.Kind.String(), "_stream", "stream"),
				strings.ReplaceAll(p[strings.LastIndexByte(p, '/')+1:], "Bidi", "BidiStream"))
			if (err == nil) != excepted {
				t.Errorf("with %q the call ended with %v", p, err)
			}
			e.ended()
			if excepted && len(e.decisions) > 0 {
				t.Errorf("the decisions are %+v; want none", e.decisions)
			}
		}
	})
}

// In Shadow nothing is enforced, and what would be is recorded.
func TestShadow(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, action := range []validate.Action{validate.End, validate.Drop} {
			config := requests(c)
			config.Invalid = action
			shadow := hauberk.Shadow(validate.New(config))
			e := start(t, c, shadow)
			_, err := e.call(t, badOrder())
			if err != nil || e.service.seen() != "bad" {
				t.Errorf("%s: the call ended with %v; the service received %q", action, err, e.service.seen())
			}
			e.ended()
			if len(e.decisions) != 1 || !e.decisions[0].Shadow || e.decisions[0].Verdict != hauberk.Rejected {
				t.Errorf("%s: the decisions are %+v", action, e.decisions)
			}
			if n := shadow.Rejections(); n != 1 && action == validate.End {
				t.Errorf("there are %d rejections", n)
			}
		}
	})
}

// A message-level rule has no path, and a map's path has the key.
func TestPaths(t *testing.T) {
	e := start(t, hauberktest.Case{}, validate.New(validate.Config{}))
	_, err := e.call(t, &checkpb.Order{Id: "a", Repeats: 1, Labels: map[string]string{"a\"b": "far too long"}})
	want := []string{
		": a repeated order needs an item [order.repeats]",
		`labels["a\"b"]: must be at most 8 characters [string.max_len]`,
	}
	if got := fieldsOf(err); !slices.Equal(got, want) {
		t.Errorf("the violations are %q; want %q", got, want)
	}
}

// A request with very many violations, and with long keys, gets a status of bounded size. Only the
// first violation of a large request is found, since each takes memory.
func TestManyViolations(t *testing.T) {
	orderOf := func(items int) *checkpb.Order {
		o := &checkpb.Order{Id: "a"}
		for range items {
			o.Items = append(o.Items, &checkpb.Item{Sku: "A", Count: -1})
		}
		return o
	}
	many, large := orderOf(400), orderOf(600)
	if small, size := proto.Size(many), proto.Size(large); small > 8<<10 || size <= 8<<10 {
		t.Fatalf("the requests have %d and %d bytes", small, size)
	}
	long := &checkpb.Order{Id: "a", Labels: map[string]string{}}
	for i := range 20 {
		long.Labels[fmt.Sprint(i, strings.Repeat("é", 180))] = "far too long"
	}
	for _, c := range []struct {
		config validate.Config
		order  *checkpb.Order
		least  int
		most   int
	}{
		{validate.Config{}, many, validate.DefaultMaxViolations, validate.DefaultMaxViolations},
		{validate.Config{MaxViolations: 1000}, many, 30, 200},
		{validate.Config{}, long, 5, 16},
		{validate.Config{MaxViolations: 1000}, large, 1, 1},
		{validate.Config{FailFast: true}, many, 1, 1},
		{validate.Config{MaxViolations: 1}, many, 1, 1},
	} {
		e := start(t, hauberktest.Case{}, validate.New(c.config))
		_, err := e.call(t, c.order)
		fields, size := fieldsOf(err), proto.Size(hauberk.StatusOf(err).Proto())
		if len(fields) < c.least || len(fields) > c.most || size > 6<<10 {
			t.Errorf("%+v: the status has %d violations and %d bytes; want %d to %d", c.config, len(fields), size, c.least, c.most)
		}
		cause := hauberk.RejectionOf(<-e.outcomes).Cause
		if len(cause.Error()) > 1000 || strings.Contains(cause.Error(), "\n") {
			t.Errorf("the text of the cause is %q", cause)
		}
		if invalid, ok := errors.AsType[*protovalidate.ValidationError](cause); !ok || len(invalid.Violations) > 1000 {
			t.Errorf("the cause has %d violations", len(invalid.Violations))
		}
	}
}

// TestUnmatchedPatterns: Serve reports patterns of Except that match no method.
func TestUnmatchedPatterns(t *testing.T) {
	chain := hauberk.Must(hauberk.New(validate.New(validate.Config{Except: []string{"shop.v1.Cart/Get", "shop.v1.Cart/Gett"}})))
	cov := chain.Coverage(map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Get"}}}})
	if want := []string{`validate.Config.Except("shop.v1.Cart/Gett")`}; !slices.Equal(cov.Unmatched, want) {
		t.Errorf("unmatched are %q; want %q", cov.Unmatched, want)
	}
}

// TestDropOfTheFirstMessage: a rule of authz about the first message of a stream holds for the first
// message that the handler receives. A call whose first message is dropped ends.
func TestDropOfTheFirstMessage(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			e := start(t, hauberktest.Case{Side: hauberk.ServerSide, Kind: kind},
				authz.New(authz.Config{Policy: authz.Policy{
					Allow: []authz.Rule{{Methods: []string{"*"}}},
					Deny:  []authz.Rule{{Methods: []string{"*"}, Request: true, When: `request.id == "victim"`}},
				}}),
				validate.New(validate.Config{Invalid: validate.Drop}))
			for _, c := range []struct {
				orders []*checkpb.Order
				code   codes.Code
				reason string
			}{
				{[]*checkpb.Order{order("victim")}, codes.PermissionDenied, authz.ReasonDenied},
				{[]*checkpb.Order{{}, order("victim")}, codes.InvalidArgument, hauberk.ReasonFirstDropped},
				{[]*checkpb.Order{order("a"), {}, order("b")}, codes.OK, ""},
			} {
				_, err := e.call(t, c.orders...)
				want(t, err, c.code, c.reason)
			}
			if seen := e.service.seen(); seen != "a b" {
				t.Errorf("the handler received %q; want a b", seen)
			}
		})
	}
}

// TestLogOfViolations: a log has the violations in one line, without the text of protovalidate.
func TestLogOfViolations(t *testing.T) {
	var log bytes.Buffer
	logs := logging.New(logging.Config{}, logging.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	e := start(t, hauberktest.Case{}, logs, validate.New(validate.Config{}))
	_, err := e.call(t, badOrder())
	want(t, err, codes.InvalidArgument, validate.ReasonInvalidRequest)
	e.ended()
	text := log.String()
	if !strings.Contains(text, "items[1].count: must be greater than 0") || strings.Contains(text, "errors:") || strings.Contains(text, " - ") {
		t.Errorf("the log is %s", text)
	}
}
