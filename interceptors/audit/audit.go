package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callstate"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// ReasonFailed is the reason of calls that end because their record was not written.
const ReasonFailed = "AUDIT_FAILED"

// Interceptor records calls. Make it with [New]. It may be used by any number of chains at once.
type Interceptor struct {
	config   Config
	sink     Sink
	writer   *writer
	failed   func(ctx context.Context, r Record, err error)
	types    Types
	states   callstate.List[hauberk.Key[string]]
	requests []*request
	secrets  *redact.Redactor
	now      func() time.Time
	key      hauberk.Key[*running]
	prefix   string // of the IDs of calls
	calls    atomic.Uint64
	admits   atomic.Bool // Admitted has been called
	err      error
}

// New returns an interceptor for both sides that writes records to sink. hauberk.New reports what is wrong
// with its configuration.
func New(config Config, sink Sink, opts ...Option) *Interceptor {
	x := &Interceptor{
		config: config.withDefaults(), sink: sink, types: protoregistry.GlobalTypes, now: time.Now,
		key: hauberk.NewKey[*running]("audit"), prefix: newPrefix(),
	}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	requests, bad := newRequests(config.Requests, x.config.MaxFields)
	secrets, unknown := redact.New("Redact", config.Redact, x.types, x.config.MaxValue)
	x.requests, x.secrets = requests, secrets
	x.err = errors.Join(x.config.check(), bad, errors.Join(unknown...), x.err, nils)
	if options.IsNil(sink) {
		x.failf("New was given a nil sink")
	}
	if x.err == nil {
		x.writer = newWriter(x.config, sink, x.failed)
	}
	return x
}

// newPrefix returns a text that other interceptors, in this process and in others, do not have.
func newPrefix() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return hex.EncodeToString(random[:]) + "-"
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: "audit", Phase: hauberk.PhaseAudit, Unmatched: x.unmatched, Invalid: x.invalid, Err: x.err,
	}
	if x.writer == nil && d.Err == nil {
		d.Err = errors.New("a zero audit.Interceptor; make it with audit.New")
		return d
	}
	d.Writes, d.Settings = []hauberk.StateKey{x.key}, x.settings
	return d
}

// running is what the interceptor keeps of a call.
type running struct {
	id      string
	began   time.Time
	starts  bool // the call has a record at its start
	started atomic.Bool
	begun   chan struct{}            // closed when that record is written, or has failed; nil if there is none
	failed  error                    // why it is not written; begun guards it
	request atomic.Pointer[captured] // hooks of a handler may run when next has returned
}

// captured is what is recorded of a request.
type captured struct {
	values map[string]string
	cut    bool
}

// Intercept records the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	c := &running{
		id: x.prefix + strconv.FormatUint(x.calls.Add(1), 36), began: x.now(),
		starts: x.config.Start == StartAll || x.config.Start == StartStreams && call.Kind() != hauberk.Unary,
	}
	if c.starts {
		c.begun = make(chan struct{})
	}
	call.CountMessages()
	if call.Side() == hauberk.ClientSide {
		call.CaptureMetadata() // for the peer
	}
	x.watch(call, c)
	if err := x.start(ctx, call, c); err != nil {
		return err
	}
	var failed error
	err := hauberk.Observe(ctx, call, next, func(err error) { failed = x.end(ctx, call, c, err) })
	if failed != nil {
		return x.reject(failed, err)
	}
	return err
}

// start writes the record at the start of the call, unless Admitted does. That may not be in the chain, or
// not run for the call: then the first response waits for the record.
func (x *Interceptor) start(ctx context.Context, call *hauberk.Call, c *running) error {
	switch {
	case !c.starts:
		return nil
	case !x.admits.Load():
		return x.begin(ctx, call, c)
	}
	x.key.Set(call, c)
	if call.Kind().ServerStreams() {
		x.beforeResponses(ctx, call, c)
	}
	return nil
}

// beforeResponses writes the record at the start before the first response, if Admitted has not.
func (x *Interceptor) beforeResponses(ctx context.Context, call *hauberk.Call, c *running) {
	if call.Side() == hauberk.ClientSide {
		call.OnReceive(func(any) (bool, error) { return true, x.begin(ctx, call, c) })
		return
	}
	call.OnSend(func(msg any, emit func(any) error) error {
		if err := x.begin(ctx, call, c); err != nil {
			return err
		}
		return emit(msg)
	})
}

// begin writes the record at the start, once, and returns the result of that write. Concurrent attempts of a call
// wait for it.
func (x *Interceptor) begin(ctx context.Context, call *hauberk.Call, c *running) error {
	if c.started.Swap(true) {
		select {
		case <-c.begun:
			return c.failed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := ErrPanic // if the goroutine is unwound
	defer func() {
		if err != nil {
			c.failed = x.reject(err, nil)
		}
		close(c.begun)
	}()
	r := x.record(call, c)
	r.Stage, r.Time = StageStart, c.began
	if err = x.writer.write(ctx, r); err != nil {
		return x.reject(err, nil)
	}
	return nil
}

// hasBegun reports whether begin would return at once.
func (c *running) hasBegun() bool {
	select {
	case <-c.begun:
		return true
	default:
		return false
	}
}

// end writes the record at the end. It is not inlined, so that the record is not on the stack while the
// handler runs.
//
//go:noinline
func (x *Interceptor) end(ctx context.Context, call *hauberk.Call, c *running, err error) error {
	r := x.record(call, c)
	r.Stage, r.Time = StageEnd, x.now()
	r.Duration = max(r.Time.Sub(c.began), 0)
	x.outcome(&r, call, err)
	return x.writer.write(ctx, r)
}

// reject returns the error of a call whose record was not written.
func (*Interceptor) reject(failed, outcome error) error {
	return &hauberk.Rejection{
		Code: codes.Unavailable, Reason: ReasonFailed, Message: "the call could not be recorded",
		Cause: errors.Join(ErrFailed, failed, outcome),
	}
}

// watch keeps the fields of the first request.
func (x *Interceptor) watch(call *hauberk.Call, c *running) {
	r := x.requestOf(call.Method())
	if r == nil {
		return
	}
	see := func(msg any) {
		if c.request.Load() == nil {
			values, cut := r.values(msg, x.secrets, x.config.MaxFields)
			c.request.Store(&captured{values, cut})
		}
	}
	if call.Side() == hauberk.ServerSide {
		call.OnReceive(func(msg any) (bool, error) {
			see(msg)
			return true, nil
		})
		return
	}
	call.OnSend(func(msg any, emit func(any) error) error {
		see(msg)
		return emit(msg)
	})
}

// Admitted returns an interceptor that writes the records at the start of calls in place of x, with the
// identity of the caller and the decisions so far, and for methods with one request also its fields. Its place
// is inside of everything that rejects calls, in each chain that x is in, and under the same hauberk.For and
// hauberk.Except as x. Calls that are rejected outside of it have no record at the start. If it does not run for a
// call with a stream of responses, the first of them waits for the record. On a client, inside of retry or hedge,
// the first attempt writes the record, and the others wait for it.
func (x *Interceptor) Admitted() hauberk.Interceptor {
	x.admits.Store(true)
	return &admitted{x}
}

type admitted struct{ x *Interceptor }

// Declare describes the interceptor to the checks of a chain.
func (a *admitted) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "audit", Detail: "admitted", Phase: hauberk.PhaseValidate, Reads: []hauberk.StateKey{a.x.key},
	}
}

// Intercept writes the record at the start of the call.
func (a *admitted) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	c, ok := a.x.key.Get(call)
	if !ok {
		return next(ctx, call)
	}
	if !c.hasBegun() && !call.Kind().ClientStreams() && a.x.requestOf(call.Method()) != nil {
		if _, err := call.Read(ctx); err != nil {
			return err
		}
	}
	if err := a.x.begin(ctx, call, c); err != nil {
		return err
	}
	return next(ctx, call)
}

// Flush waits until the records in the queue are written, or returns an error when ctx ends. Without
// BestEffort no record waits.
func (x *Interceptor) Flush(ctx context.Context) error {
	if x.writer == nil {
		return nil
	}
	if err := x.writer.flush(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Close is Flush, and ends the goroutine of the queue. Call it when the servers have stopped: records of later
// calls are dropped and counted. Then close the sink.
func (x *Interceptor) Close(ctx context.Context) error {
	if x.writer == nil {
		return nil
	}
	if err := x.writer.close(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
