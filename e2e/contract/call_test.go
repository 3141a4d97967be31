package contract_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// application makes one call and records its result.
type application struct {
	*world

	spec     *callSpec
	kind     hauberk.Kind
	requests []*pb.Req
	cancel   context.CancelFunc
	over     chan struct{} // closed when the call has ended, if it streams requests or is a future
	fed      chan struct{} // closed when all streamed requests are sent
	finished chan error    // receives the outcome
	turn     chan struct{} // with lockstep: one value for each request that may be sent

	responses       []response
	header, trailer metadata.MD
	err             error
}

// call makes a call and records its outcome.
func (w *world) call(ctx context.Context, spec *callSpec) error {
	a, err := w.application(spec)
	if err != nil {
		return fmt.Errorf("call %s: %w", spec.ID, err)
	}
	ctx, err = a.context(ctx)
	if err != nil {
		return fmt.Errorf("call %s: %w", spec.ID, err)
	}
	defer a.cancel()
	began := time.Now()
	if c := spec.Cancel; c != nil && c.AfterMS != nil && !a.promised() {
		defer time.AfterFunc(millis(*c.AfterMS), a.cancel).Stop()
	}
	a.err = a.make(ctx)
	out := a.outcome(time.Since(began))
	w.journal.log(spec.ID, hauberk.ClientSide, "call:end("+out.Code+")")
	w.results.put(spec.ID, out)
	return nil
}

func (w *world) application(spec *callSpec) (*application, error) {
	kind, err := kindNamed(spec.Kind)
	a := &application{
		world: w, spec: spec, kind: kind, responses: []response{},
		over: make(chan struct{}), fed: make(chan struct{}), finished: make(chan error, 1),
	}
	requests := spec.Requests
	if requests == nil {
		requests = []request{{Msg: "hi"}}
	}
	a.turn = make(chan struct{}, len(requests)+1)
	a.release()
	if len(requests) == 0 && !kind.ClientStreams() {
		err = errors.Join(err, errors.New("a method with a single request has none"))
	}
	for _, r := range requests {
		m, one := r.message()
		err = errors.Join(err, one)
		a.requests = append(a.requests, m)
	}
	return a, err
}

// context returns the call's context, with metadata and deadline, and a function to cancel it.
func (a *application) context(ctx context.Context) (context.Context, error) {
	md, err := metadataOf(a.spec.Metadata)
	if err != nil {
		return nil, err
	}
	md.Append(callIDKey, a.spec.ID)
	ctx = metadata.NewOutgoingContext(ctx, md)
	if a.spec.TimeoutMS > 0 {
		ctx, a.cancel = context.WithTimeout(ctx, millis(a.spec.TimeoutMS))
	} else {
		ctx, a.cancel = context.WithCancel(ctx)
	}
	return ctx, nil
}

func (a *application) options() []grpc.CallOption {
	opts := []grpc.CallOption{grpc.OnFinish(func(err error) { a.finished <- err })}
	if a.spec.WaitForReady {
		opts = append(opts, grpc.WaitForReady(true))
	}
	return opts
}

// method returns the full name of the method.
func (a *application) method() string {
	if a.spec.Method != "" {
		return a.spec.Method
	}
	service := a.spec.Service
	if service == "" {
		service = pb.TestService_ServiceDesc.ServiceName
	}
	return "/" + service + "/" + methodOf(a.kind)
}

// make makes the call and returns its outcome.
func (a *application) make(ctx context.Context) error {
	if a.promised() {
		return a.await(ctx)
	}
	if a.kind == hauberk.Unary {
		return a.invoke(ctx)
	}
	return a.stream(ctx)
}

func (a *application) invoke(ctx context.Context) error {
	resp, err := a.unary(ctx, a.requests[0], append(a.options(), grpc.Header(&a.header), grpc.Trailer(&a.trailer))...)
	if err == nil {
		a.got(resp)
	}
	return err
}

// got records a response.
func (a *application) got(resp *pb.Resp) {
	r := response{Msg: resp.GetMsg(), State: resp.GetState(), PayloadLen: len(resp.GetPayload())}
	for _, h := range resp.GetMetadata() {
		r.Metadata = append(r.Metadata, pair{h.GetKey(), presented(h.GetKey(), string(h.GetValue()))})
	}
	a.responses = append(a.responses, r)
}

// outcome returns the result for the application.
func (a *application) outcome(took time.Duration) clientOutcome {
	st := hauberk.StatusOf(a.err)
	out := clientOutcome{
		Kind: a.spec.Kind, Code: codeName(st.Code()), Details: st.Message(), Responses: a.responses,
		Initial: shown(a.header), Trailing: shown(a.trailer),
	}
	if a.spec.KeepResponses == "count" {
		out.Responses = map[string]int{"count": len(a.responses)}
	}
	out.Within = within(a.spec.WithinMS, func(limit time.Duration) bool { return took <= limit })
	out.AtLeast = within(a.spec.AtLeastMS, func(limit time.Duration) bool { return took >= limit })
	return out
}

func within(ms *float64, holds func(limit time.Duration) bool) *bool {
	if ms == nil {
		return nil
	}
	yes := holds(millis(*ms))
	return &yes
}
