package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// secret is in every panic, and must never reach the other end.
const secret = "canary-7f3a"

// witness records the outcomes of next.
type witness struct {
	mu       sync.Mutex
	outcomes []error
}

func (w *witness) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes = append(w.outcomes, err)
	return err
}

func TestPanics(t *testing.T) {
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if s.serverOnly {
					c.Side = hauberk.ServerSide
				}
				testPanic(t, c, s)
			})
		})
	}
}

func testPanic(t *testing.T, c hauberktest.Case, s site) {
	t.Helper()
	var log journal
	var w witness
	bad := &trap{spell: func() { panic(fmt.Errorf("cannot go on: %s", secret)) }}
	x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()))
	env := start(t, c, s, bad, x, &w)

	bad.armed.Store(true)
	out := env.Call(t.Context())
	checkFixed(t, c, out, recovery.ErrPanic)
	bad.armed.Store(false)
	if out := env.Call(t.Context()); out.Err != nil {
		t.Errorf("the next call ended with %v", out.Err)
	}
	env.Server.GracefulStop()

	if got := x.Panics(); got != 1 {
		t.Errorf("%d panics counted, want 1", got)
	}
	checkLog(t, c, log.records(t))
	if len(s.chain(x, &w, nil)) == 3 {
		checkWitness(t, w.outcomes)
	}
}

// start starts the environment of a site.
func start(t *testing.T, c hauberktest.Case, s site, bad *trap, x, w hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	backend := &hauberktest.Backend{}
	if s.handle != nil {
		backend.Handle = func(ctx context.Context, stream hauberktest.Stream) error {
			return s.handle(ctx, stream, bad.die)
		}
	}
	return c.StartWith(t, backend, s.chain(x, w, s.interceptor(bad.die))...)
}

// checkFixed checks that the caller received the fixed text and no more.
func checkFixed(t *testing.T, c hauberktest.Case, out hauberktest.Outcome, sentinel error) {
	t.Helper()
	st := status.Convert(out.Err)
	if st.Code() != codes.Internal || st.Message() != recovery.DefaultMessage || len(st.Proto().GetDetails()) > 0 {
		t.Errorf("the call ended with %v; want INTERNAL, %q, without details", st.Proto(), recovery.DefaultMessage)
	}
	received := fmt.Sprint(out.Err, st.Proto(), out.Header, map[string][]string(out.Trailer), out.Texts())
	if strings.Contains(received, secret) || strings.Contains(received, "goroutine") || strings.Contains(received, ".go:") {
		t.Errorf("the caller received data of the panic: %s", received)
	}
	inProcess := c.Side == hauberk.ClientSide
	if errors.Is(out.Err, sentinel) != inProcess || errors.As(out.Err, new(*recovery.PanicError)) != inProcess {
		t.Errorf("errors.Is and As find the panic: %t; want %t, in %v", !inProcess, inProcess, out.Err)
	}
}

// checkLog checks the record of the one panic.
func checkLog(t *testing.T, c hauberktest.Case, records []map[string]any) {
	t.Helper()
	if len(records) != 1 {
		t.Fatalf("%d log records, want 1: %v", len(records), records)
	}
	method := hauberktest.FullMethod(c.Kind)
	for key, want := range map[string]string{
		"level": "ERROR", "msg": "panic in a call",
		recovery.KeySide: c.Side.String(), recovery.KeyKind: c.Kind.String(),
		recovery.KeyService: "hauberk.test.v1.TestService", recovery.KeyMethod: strings.TrimPrefix(method, "/"),
		recovery.KeyPanicType: fmt.Sprintf("%T", fmt.Errorf("cannot go on: %s", secret)),
	} {
		if got := records[0][key]; got != want {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
	if _, ok := records[0][recovery.KeyPanic]; ok || strings.Contains(fmt.Sprint(records[0]), secret) {
		t.Errorf("the value is in the record: %v", records[0])
	}
	checkStack(t, records[0])
}

// checkStack checks that the stack has frames of the program only, and that the place of
// the panic is one of this package's files.
func checkStack(t *testing.T, record map[string]any) {
	t.Helper()
	stack, at := fmt.Sprint(record[recovery.KeyStack]), fmt.Sprint(record[recovery.KeyPanicAt])
	if !strings.Contains(at, "_test.go:") || !strings.Contains(at, " github.com/hauberk-rpc/hauberk/interceptors/recovery_test.") {
		t.Errorf("the place of the panic is %q", at)
	}
	place, _, _ := strings.Cut(at, " ")
	if !strings.Contains(stack, place) {
		t.Errorf("the stack does not show the place %s: %s", place, stack)
	}
	for _, foreign := range []string{"google.golang.org/grpc.", "runtime.", "runtime/debug", "hauberk.(*", " [running]"} {
		if strings.Contains(stack, foreign) {
			t.Errorf("the stack has %q: %s", foreign, stack)
		}
	}
}

// checkWitness checks that the interceptor outside the panic saw its outcome.
func checkWitness(t *testing.T, outcomes []error) {
	t.Helper()
	if len(outcomes) != 2 || outcomes[1] != nil {
		t.Fatalf("the code after next saw %v, want a panic's outcome and nil", outcomes)
	}
	var e *recovery.PanicError
	if !errors.As(outcomes[0], &e) || !errors.Is(outcomes[0], recovery.ErrPanic) {
		t.Fatalf("the code after next saw %v, want a PanicError", outcomes[0])
	}
	if !strings.Contains(fmt.Sprint(e.Value), secret) || len(e.Stack) == 0 {
		t.Errorf("the PanicError has the value %v and a stack of %d bytes", e.Value, len(e.Stack))
	}
}
