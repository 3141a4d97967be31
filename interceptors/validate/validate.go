package validate

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// name is the name of the interceptor in decisions and errors.
const name = "validate"

// Interceptor validates messages. Make it with [New]. It is safe for concurrent use by any
// number of chains, of servers and of clients, which then share the compiled rules.
type Interceptor struct {
	config   Config
	except   pattern.Set
	services []protoreflect.ServiceDescriptor
	answer   func(call *hauberk.Call, rejection *hauberk.Rejection) ([]any, error)
	given    protovalidate.Validator // of WithValidator
	logger   *slog.Logger
	types    *types
	err      error
}

// New returns an interceptor for both sides, or for servers if Config.Responses and Config.Sent
// are not set. hauberk.New reports errors of the configuration, nil options and, for the
// services of [WithServices], rules that do not compile.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults()}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	except, bad := x.config.except()
	x.except = except
	x.err = errors.Join(x.config.check(), bad, x.err, nils)
	if (x.config.Invalid == Answer) != (x.answer != nil) {
		x.failf("Config.Invalid is %s; want Answer and WithAnswer, or neither", x.config.Invalid)
	}
	var err error
	if x.types, err = newTypes(x.given, x.config); err != nil {
		x.failf("protovalidate: %w", err)
	} else if x.err == nil {
		x.err = x.prewarm()
	}
	return x
}

// prewarm compiles the rules of the messages of the given services.
func (x *Interceptor) prewarm() error {
	var errs []error
	seen := make(map[protoreflect.MessageDescriptor]bool)
	compile := func(method protoreflect.MethodDescriptor, message protoreflect.MessageDescriptor) {
		if seen[message] {
			return
		}
		seen[message] = true
		if _, err := x.types.of(message, nil); err != nil {
			errs = append(errs, &compileError{string(method.FullName()), string(message.FullName()), err})
		}
	}
	for _, service := range x.services {
		methods := service.Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			if x.except.Matches(string(service.FullName()), string(m.Name())) {
				continue
			}
			compile(m, m.Input())
			if x.config.Responses || x.config.Sent {
				compile(m, m.Output())
			}
		}
	}
	return errors.Join(errs...)
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseValidate, Decides: true, Err: x.err}
	if !x.config.Responses && !x.config.Sent {
		d.Sides = hauberk.OnlyServers
	}
	if x.types == nil && x.err == nil {
		d.Err = errors.New("a zero validate.Interceptor; make it with validate.New")
	}
	return d
}

// Intercept validates the messages of the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	received := call.Side() == hauberk.ServerSide || x.config.Responses
	m := call.Method()
	if !received && !x.config.Sent || x.except.Matches(m.Service(), m.Name()) {
		call.Abstain()
		return next(ctx, call)
	}
	r := &run{x: x, call: call}
	if received {
		call.OnReceive(r.receive)
	}
	if x.config.Sent {
		call.OnSend(r.send)
	}
	return r.end(next(ctx, call))
}

// run validates the messages of one call.
type run struct {
	x      *Interceptor
	call   *hauberk.Call
	reason atomic.Pointer[hauberk.Rejection] // that the call ended with
}

// receive is a hook.
func (r *run) receive(msg any) (keep bool, err error) {
	side := r.call.Side()
	rejection := r.x.validate(msg, side == hauberk.ServerSide)
	switch {
	case rejection == nil:
		return true, nil
	case r.drops(rejection, r.streams(side == hauberk.ServerSide)):
		return false, nil
	default:
		r.reason.Store(rejection)
		return false, rejection
	}
}

// send is a hook.
func (r *run) send(msg any, emit func(any) error) error {
	side := r.call.Side()
	rejection := r.x.validate(msg, side == hauberk.ClientSide)
	switch {
	case rejection == nil:
		return emit(msg)
	case r.drops(rejection, r.streams(side == hauberk.ClientSide)):
		return nil
	default:
		r.reason.Store(rejection)
		return rejection
	}
}

// streams reports whether the requests, or the responses, are a stream.
func (r *run) streams(requests bool) bool {
	if requests {
		return r.call.Kind().ClientStreams()
	}
	return r.call.Kind().ServerStreams()
}

// drops reports whether a message is dropped, and records it. Only invalid messages are: one
// that could not be validated ends the call.
func (r *run) drops(rejection *hauberk.Rejection, streams bool) bool {
	if r.x.config.Invalid != Drop || !streams || !errors.Is(rejection, ErrInvalid) {
		return false
	}
	d := decisionOf(rejection)
	d.Interceptor = name // a hook must set it
	r.call.Decide(d)
	return true
}

// end returns the outcome of the call.
func (r *run) end(err error) error {
	rejection := r.reason.Load()
	if rejection == nil || hauberk.RejectionOf(err) != rejection {
		return err // also if the handler returned another error after the hook
	}
	r.call.Decide(decisionOf(rejection))
	if r.x.config.Invalid != Answer || !errors.Is(rejection, ErrInvalid) {
		return err
	}
	msgs, err := r.x.answer(r.call, rejection)
	if err != nil {
		return err
	}
	return r.call.Reply(msgs...)
}

// validate returns the rejection of a message, or nil.
func (x *Interceptor) validate(msg any, request bool) *hauberk.Rejection {
	m := protoOf(msg)
	if m == nil {
		if x.config.Strict {
			return errNotProtobuf(msg)
		}
		return nil
	}
	compiled, err := x.types.of(m.ProtoReflect().Descriptor(), x.log)
	if err != nil {
		return notCompiled(m, err)
	}
	if err := compiled.validator.Validate(m); err != nil {
		return x.rejection(m, err, request)
	}
	return nil
}

// protoOf returns a message of protobuf, as grpc-go's codec sees it, or nil.
func protoOf(msg any) proto.Message {
	switch m := msg.(type) {
	case proto.Message:
		return m
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(m)
	default:
		return nil
	}
}

// log logs rules that do not compile.
func (x *Interceptor) log(message protoreflect.MessageDescriptor, err error) {
	logger := x.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(context.Background(), slog.LevelError,
		"validate: the rules of a message do not compile; calls with it end with INTERNAL",
		slog.String("message", string(message.FullName())), slog.Any("error", err))
}
