package validate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
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
	receive  [2]hauberk.ReceiveHook // by side, for all calls
	send     [2]hauberk.SendHook
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
	if x.err == nil {
		x.err = x.checkExcepted()
	}
	if (x.config.Invalid == Answer) != (x.answer != nil) {
		x.failf("Config.Invalid is %s; want Answer and WithAnswer, or neither", x.config.Invalid)
	}
	x.makeHooks()
	var err error
	if x.types, err = newTypes(x.given, x.config); err != nil {
		x.failf("protovalidate: %w", err)
	} else if x.err == nil {
		x.err = x.prewarm()
	}
	return x
}

// checkExcepted reports types in Config.ExceptMessages that the program does not know.
func (x *Interceptor) checkExcepted() error {
	known := make(map[string]bool)
	for _, service := range x.services {
		for i := range service.Methods().Len() {
			m := service.Methods().Get(i)
			known[string(m.Input().FullName())], known[string(m.Output().FullName())] = true, true
		}
	}
	var errs []error
	for _, text := range x.config.ExceptMessages {
		d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(text))
		if _, linked := d.(protoreflect.MessageDescriptor); !linked && !known[text] {
			errs = append(errs, fmt.Errorf("Config.ExceptMessages has %q, which is no message type that the program "+
				"links, or that a service of WithServices uses", text))
		}
	}
	return errors.Join(errs...)
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
	d := hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseValidate, Decides: true, Unmatched: x.unmatched, Err: x.err,
	}
	if !x.config.Responses && !x.config.Sent {
		d.Sides = hauberk.OnlyServers
	}
	if x.types == nil && x.err == nil {
		d.Err = errors.New("a zero validate.Interceptor; make it with validate.New")
	}
	return d
}

// unmatched returns the patterns of Config.Except that match none of the methods of a server.
func (x *Interceptor) unmatched(methods []*hauberk.Method) []string {
	return pattern.IndexOf(methods).Unmatched("validate.Config.Except", x.except)
}

// Intercept validates the messages of the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	side, m := call.Side(), call.Method()
	received := side == hauberk.ServerSide || x.config.Responses
	if !received && !x.config.Sent || x.except.Matches(m.Service(), m.Name()) {
		call.Abstain()
		return next(ctx, call)
	}
	if received {
		call.OnReceive(x.receiving(call))
	}
	if x.config.Sent {
		call.OnSend(x.sending(call))
	}
	return x.end(call, next(ctx, call))
}

// receiving returns the hook for received messages. Without Drop it is the same for all calls of
// a side.
func (x *Interceptor) receiving(call *hauberk.Call) hauberk.ReceiveHook {
	if x.config.Invalid != Drop || !streams(call.Kind(), call.Side() == hauberk.ServerSide) {
		return x.receive[call.Side()]
	}
	return func(msg any) (keep bool, err error) {
		dropped, err := x.drop(call, x.validate(msg, call.Side(), call.Side() == hauberk.ServerSide))
		return !dropped && err == nil, err
	}
}

// sending returns the hook for sent messages.
func (x *Interceptor) sending(call *hauberk.Call) hauberk.SendHook {
	if x.config.Invalid != Drop || !streams(call.Kind(), call.Side() == hauberk.ClientSide) {
		return x.send[call.Side()]
	}
	return func(msg any, emit func(any) error) error {
		dropped, err := x.drop(call, x.validate(msg, call.Side(), call.Side() == hauberk.ClientSide))
		if dropped || err != nil {
			return err
		}
		return emit(msg)
	}
}

// streams reports whether the requests, or the responses, of a kind are a stream.
func streams(kind hauberk.Kind, requests bool) bool {
	if requests {
		return kind.ClientStreams()
	}
	return kind.ServerStreams()
}

// drop reports whether a message is dropped, and records it. Only invalid messages are: one that
// could not be validated ends the call.
func (x *Interceptor) drop(call *hauberk.Call, rejection *hauberk.Rejection) (dropped bool, err error) {
	switch {
	case rejection == nil:
		return false, nil
	case !errors.Is(rejection, ErrInvalid):
		return false, rejection
	}
	d := decisionOf(rejection)
	d.Interceptor = name // a hook must set it
	call.Decide(d)
	return true, nil
}

// makeHooks makes the hooks that need no call, so that a call does not allocate them.
func (x *Interceptor) makeHooks() {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		x.receive[side] = func(msg any) (keep bool, err error) {
			if rejection := x.validate(msg, side, side == hauberk.ServerSide); rejection != nil {
				return false, rejection
			}
			return true, nil
		}
		x.send[side] = func(msg any, emit func(any) error) error {
			if rejection := x.validate(msg, side, side == hauberk.ClientSide); rejection != nil {
				return rejection
			}
			return emit(msg)
		}
	}
}

// end returns the outcome of the call for that of next.
func (x *Interceptor) end(call *hauberk.Call, err error) error {
	if err == nil {
		return nil
	}
	rejection := hauberk.RejectionOf(err)
	if rejection == nil {
		return err
	}
	// The handler may return the rejection of a call that it made itself.
	c, ok := rejection.Cause.(*cause) //nolint:errorlint // one that wraps it is another rejection's
	if !ok || c.by != x || c.side != call.Side() {
		return err
	}
	call.Decide(decisionOf(rejection))
	if x.config.Invalid != Answer || !errors.Is(rejection, ErrInvalid) {
		return err
	}
	msgs, err := x.answer(call, rejection)
	if err != nil {
		return err
	}
	return call.Reply(msgs...)
}

// validate returns the rejection of a message on a side, or nil.
func (x *Interceptor) validate(msg any, side hauberk.Side, request bool) *hauberk.Rejection {
	m, _ := protomessage.Of(msg)
	if m == nil {
		if x.config.Strict {
			return reject(codes.Internal, ReasonNotProtobuf, unvalidated,
				&cause{ErrNotProtobuf, nil, fmt.Sprintf("it is a %T", msg), x, side})
		}
		return nil
	}
	compiled, err := x.types.of(m.ProtoReflect().Descriptor(), x.log)
	if compiled == nil {
		return nil // Config.ExceptMessages has it
	}
	if err == nil {
		err = compiled.validate(m)
	}
	if err == nil {
		return nil
	}
	return x.rejection(m, err, side, request)
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
