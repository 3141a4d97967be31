package logging_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// messages returns "direction sequence" for the record of each message, sent ones first:
// both directions may run concurrently.
func messages(records []map[string]any) (list []string) {
	for _, r := range records {
		if r["msg"] == logging.MessagePassed {
			list = append(list, r[logging.KeyDirection].(string)+string(rune('0'+int(r[logging.KeySequence].(float64)))))
		}
	}
	slices.Sort(list)
	return list
}

func TestMessages(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		env := c.Start(t, logging.New(logging.Config{Messages: true}, j.option(), logging.State("request_id", requestID)),
			setID("r-1"))
		if out := env.Call(t.Context(), "one", "two"); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		records := j.records(t)
		requests, responses := []string{"1"}, []string{"1"}
		if c.Kind.ClientStreams() {
			requests = []string{"1", "2"}
		}
		if c.Kind == hauberk.Bidi {
			responses = []string{"1", "2"}
		}
		in, out := requests, responses
		if c.Side == hauberk.ClientSide {
			in, out = out, in
		}
		var want []string
		for _, n := range in {
			want = append(want, "received"+n)
		}
		for _, n := range out {
			want = append(want, "sent"+n)
		}
		if got := messages(records); !slices.Equal(got, want) {
			t.Errorf("messages %v, want %v", got, want)
		}
		last := records[len(records)-1]
		check(t, last, map[string]any{"msg": "call ended", logging.KeySent: float64(len(out)), logging.KeyReceived: float64(len(in))})
		checkMessage(t, c, records[0])
	})
}

// checkMessage checks the first record, which is that of a request.
func checkMessage(t *testing.T, c hauberktest.Case, record map[string]any) {
	t.Helper()
	direction, level := "received", "INFO"
	if c.Side == hauberk.ClientSide {
		direction, level = "sent", "DEBUG"
	}
	method := hauberktest.FullMethod(c.Kind)
	check(t, record, map[string]any{
		"level": level, logging.KeySide: c.Side.String(), logging.KeyKind: c.Kind.String(), logging.KeyDirection: direction, logging.KeySequence: 1.0,
		logging.KeyService: service1, logging.KeyMethod: strings.TrimPrefix(method, "/"), logging.KeyType: "hauberk.test.v1.Request",
		logging.KeySize: float64(proto.Size(&testpb.Request{Text: "one"})), logging.KeyPayload: nil, logging.KeyStatusCode: nil,
	})
}

// setID sets the id of a call.
func setID(id string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		requestID.Set(call, id)
		return next(ctx, call)
	})
}

// A message is logged as it was when it reached the interceptor, also if inner
// interceptors change it, and if its buffers are released when it has been sent.
func TestMessageThatIsGoneWhenSent(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	taking := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, _ func(any) error) error {
			switch msg := msg.(type) {
			case *mem.BufferSlice:
				msg.Free()
			case *testpb.Request:
				msg.Text = "changed"
			}
			return nil
		})
		return next(ctx, call)
	})
	config := logging.Config{Payloads: logging.Payloads{On: true}}
	env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Bidi}.Start(t, logging.New(config, j.option()), taking)
	stream, err := env.Conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	pool := mem.NewTieredBufferPool(8192)
	for _, msg := range []any{&mem.BufferSlice{mem.NewBuffer(pool.Get(8000), pool)}, &testpb.Request{Text: "kept"}} {
		if err := stream.SendMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	_ = stream.CloseSend()
	if err := stream.RecvMsg(new(testpb.Response)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	records := j.records(t)
	check(t, records[0], map[string]any{logging.KeyDirection: "sent", logging.KeySize: 8000.0})
	check(t, records[1], map[string]any{logging.KeyDirection: "sent", logging.KeySize: 6.0, logging.KeyPayload: `{"text":"kept"}`})
}

// A message that an outer interceptor drops has not been sent.
func TestMessageThatIsNotSent(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	reject := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(any, func(any) error) error { return status.Error(codes.DataLoss, "no") })
		return next(ctx, call)
	})
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ServerStream}
	env := c.Start(t, reject, logging.New(logging.Config{Messages: true}, j.option()))
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	if got := messages(j.records(t)); !slices.Equal(got, []string{"received1"}) {
		t.Errorf("messages %v", got)
	}
}

// The reply of an interceptor is a message. A rejected call has none.
func TestMessagesOfAnsweredCalls(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		answers := true
		interceptor := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			if answers {
				return call.Reply(&testpb.Response{Text: "from memory"})
			}
			return hauberk.Reject(codes.Aborted, "NO", "no")
		})
		env := c.Start(t, logging.New(logging.Config{Messages: true}, j.option()), interceptor)
		_ = env.Call(t.Context())
		answers = false
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		want := "sent1"
		if c.Side == hauberk.ClientSide {
			want = "received1"
		}
		if got := strings.Join(messages(j.records(t)), " "); strings.Count(got, want) != 1 {
			t.Errorf("messages %s, want %s once", got, want)
		}
	})
}

// textCodec sends strings and bytes, like the codecs of other serializations.
type textCodec struct{}

func (textCodec) Name() string { return "text" }

func (textCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(interface{ bytes() []byte }).bytes())}, nil
}

func (textCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(interface{ set(raw []byte) }).set(data.Materialize())
	return nil
}

type note struct{ text string }

func (n *note) bytes() []byte  { return []byte(n.text) }
func (n *note) set(raw []byte) { n.text = string(raw) }

type sizedNote struct{ note }

// Len makes the note's size known.
func (n *sizedNote) Len() int { return len(n.text) }

// For messages that are not protobuf only type and size are logged.
func TestForeignMessages(t *testing.T) {
	for _, test := range []struct {
		msg  any
		want map[string]any
	}{
		{&note{"canary"}, map[string]any{logging.KeyType: "*logging_test.note", logging.KeySize: nil, logging.KeyPayload: nil}},
		{&sizedNote{note{"canary"}}, map[string]any{logging.KeyType: "*logging_test.sizedNote", logging.KeySize: 6.0, logging.KeyPayload: nil}},
	} {
		hauberktest.CheckLeaks(t)
		j := newJournal()
		env := hauberktest.Start(t, hauberktest.Setup{
			Client:        hauberk.Must(hauberk.New(logging.New(logging.Config{Payloads: logging.Payloads{On: true}}, j.option()))),
			ServerOptions: []grpc.ServerOption{grpc.ForceServerCodecV2(textCodec{})},
		})
		_ = env.Conn.Invoke(t.Context(), "/no.Such/Method", test.msg, new(note), grpc.ForceCodecV2(textCodec{}))
		records := j.records(t)
		check(t, records[0], test.want)
		if strings.Contains(j.String(), "canary") {
			t.Errorf("logged %s", j)
		}
	}
}

var errNoRoom = errors.New("no room")

// A call does not fail if its log cannot be written.
func TestLogThatFails(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		h := failing{newJournal().logger().Handler()}
		config := logging.Config{Start: true, Messages: true, Payloads: logging.Payloads{On: true}}
		env := c.Start(t, logging.New(config, logging.WithLogger(loggerOf(h))))
		if out := env.Call(t.Context()); out.Err != nil {
			t.Error(out.Err)
		}
		env.Server.GracefulStop()
	})
}

// Concurrent attempts share the hooks of the outer interceptors.
func TestMessagesOfAttemptsBesideEachOther(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				type outcome struct {
					attempt *hauberk.Call
					err     error
				}
				outcomes := make(chan outcome)
				for range 3 {
					attempt := call.Attempt()
					go func() { outcomes <- outcome{attempt, next(ctx, attempt)} }()
				}
				var good outcome
				for range 3 {
					if o := <-outcomes; o.err == nil {
						good = o
					}
				}
				call.Adopt(good.attempt)
				return good.err
			})
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			config := logging.Config{Messages: true, Payloads: logging.Payloads{On: true}}
			env := c.Start(t, logging.New(config, j.option()), hedge)
			if out := env.Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
			if got := messages(j.records(t)); !slices.Equal(got, []string{"received1", "sent1"}) {
				t.Errorf("messages %v, want what the application sent and got", got)
			}
		})
	}
}
