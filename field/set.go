package field

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// MaxValue is the greatest length of a value that [Set] and [Tenant] accept, in bytes.
const MaxValue = 256

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrMissing  = errors.New("the request has no value of a required field")
	ErrTooLong  = errors.New("the value of a field of the request is too long")
	ErrMismatch = errors.New("the request is for another tenant than that of the caller")
	ErrChanged  = errors.New("the request has another value of a fixed field than the first of its stream")
)

// The reasons of rejections ([hauberk.Reason]), on both sides.
const (
	// ReasonMissing: the request has no value of a required field (INVALID_ARGUMENT). The google.rpc.BadRequest
	// names it.
	ReasonMissing = "REQUEST_FIELD_MISSING"
	// ReasonTooLong: the value of a field is longer than MaxValue (INVALID_ARGUMENT). The
	// google.rpc.BadRequest names the field.
	ReasonTooLong = "REQUEST_FIELD_TOO_LONG"
	// ReasonChanged: a request of a stream has another value of a field with [Field.Fixed] than the first
	// (INVALID_ARGUMENT). The google.rpc.BadRequest names the field.
	ReasonChanged = "REQUEST_FIELD_CHANGED"
	// ReasonMismatch: the request is for another tenant than that of the caller (PERMISSION_DENIED).
	ReasonMismatch = "TENANT_MISMATCH"
)

// Interceptor keeps a field of the request in the state of the call. Make it with [Set] or [Tenant]. It may be
// used by any number of chains at once.
type Interceptor struct {
	field  Field
	key    hauberk.Key[string]
	tenant bool // in place of the key
	err    error
}

// Set returns an interceptor, for both sides, that keeps a field of the first request under a key:
//
//	var StorageKey = hauberk.NewKey[string]("storage")
//
//	field.Set(StorageKey, field.String("repository.storage_name"))
//
// It rejects a call without a value with INVALID_ARGUMENT, unless the field is [Field.Optional]: then the
// key is not set. It rejects a value of more than [MaxValue] bytes. A request that cannot be read ends the
// call with the status of that. A method whose requests have none of the paths ends with INTERNAL; Serve
// reports it before. Unknown methods and those of the package grpc, such as health, pass without a value.
//
// Further requests of a stream do not change the value. If the decisions by it must hold for them as well, use
// [Field.Fixed].
func Set(key hauberk.Key[string], f Field) *Interceptor {
	x := &Interceptor{field: f, key: key}
	if key.Name() == "" {
		x.err = errors.New("field.Set was given a key without a name; make keys with hauberk.NewKey")
	}
	return x
}

// Tenant returns an interceptor for servers that sets the Tenant of [hauberk.IdentityKey] to a field of the
// first request, for [callkey.Tenant], rules of authz and audits. Run it inside of authentication. It rejects
// calls as [Set] does, and a call whose identity has another tenant with PERMISSION_DENIED.
//
// An identity without a tenant gets the one that the caller has chosen. If callers may not act for every
// tenant, a rule of authz has to check it. A call without an identity, of a public method, passes unread.
//
// A stream whose further requests are for another tenant than the call ends with PERMISSION_DENIED, before the handler
// receives such a request. Requests after the first need no value.
func Tenant(f Field) *Interceptor { return &Interceptor{field: f, tenant: true} }

// title is the function that made the interceptor, with the field, in explanations and errors.
func (x *Interceptor) title() string {
	if x.tenant {
		return "field.Tenant(" + x.field.Name() + ")"
	}
	return "field.Set(" + x.key.Name() + ", " + x.field.Name() + ")"
}

// name is that of the interceptor in decisions.
const name = "field"

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Detail: x.field.Name(), Phase: hauberk.PhaseField, Decides: true, Invalid: x.invalid,
		Err: errors.Join(x.err, x.field.Err()),
	}
	if x.field.perMessage {
		d.Err = errors.Join(d.Err, fmt.Errorf("%s has a field of messages; want one without PerMessage", x.title()))
	}
	if x.tenant {
		d.Sides = hauberk.OnlyServers
		d.Reads = []hauberk.StateKey{hauberk.IdentityKey}
	} else if x.key.Name() != "" {
		d.Writes = []hauberk.StateKey{x.key}
	}
	return d
}

// invalid returns what is wrong with the field for the methods of a server.
func (x *Interceptor) invalid(methods []*hauberk.Method) []string {
	bad := x.field.check(describe(methods))
	for i := range bad {
		bad[i] = x.title() + ": " + bad[i]
	}
	return bad
}

// Intercept keeps the field of the call, or rejects the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if err := x.keep(ctx, call); err != nil {
		return err
	}
	return next(ctx, call)
}

// keep reads the field and keeps it, or returns the rejection of the call.
func (x *Interceptor) keep(ctx context.Context, call *hauberk.Call) error {
	m := call.Method()
	var id *hauberk.Identity
	if x.tenant {
		id, _ = hauberk.IdentityKey.Get(call)
	}
	if !m.Known() || infrastructure(m.Service()) || x.tenant && id == nil {
		call.Abstain()
		return nil
	}
	value, ok, err := x.field.read(ctx, call)
	switch {
	case err != nil && call.DryRun(): // such as on a client's stream, which must not wait
		call.Abstain()
		return nil
	case err != nil:
		return err
	case !ok && x.field.optional:
		call.Abstain()
		x.watch(call, id, "")
		return nil
	case !ok:
		return x.missing(call)
	case len(value) > MaxValue:
		return x.reject(call, ReasonTooLong, ErrTooLong, fmt.Sprintf("has more than %d bytes", MaxValue))
	case !x.tenant:
		x.key.Set(call, value)
		x.watch(call, id, value)
		return nil
	default:
		return x.setTenant(call, id, value)
	}
}

// setTenant sets the tenant of the caller, whose identity other calls share.
func (x *Interceptor) setTenant(call *hauberk.Call, id *hauberk.Identity, tenant string) error {
	switch id.Tenant {
	case tenant:
	case "":
		own := *id
		id, own.Tenant = &own, tenant
		hauberk.IdentityKey.Set(call, id)
	default:
		return x.mismatch(call)
	}
	x.watch(call, id, tenant)
	return nil
}

// watch ends a stream when one of its further requests has another value than the first: that of a fixed field, which
// is "" if the first has none, or the tenant of its caller, if it has one.
func (x *Interceptor) watch(call *hauberk.Call, id *hauberk.Identity, value string) {
	if x.tenant {
		value = id.Tenant
	}
	if holds := x.field.fixed || x.tenant && value != ""; !holds || !call.Kind().ClientStreams() {
		return
	}
	check := func(msg any) error {
		if got, ok := x.field.OfMessage(msg); ok && got != value {
			return x.changed(call)
		}
		return nil
	}
	if call.Side() == hauberk.ServerSide {
		call.OnReceive(func(msg any) (bool, error) {
			err := check(msg)
			return err == nil, err
		})
		return
	}
	call.OnSend(func(msg any, emit func(any) error) error {
		if err := check(msg); err != nil {
			return err
		}
		return emit(msg)
	})
}

// changed is the rejection of a request that is not for what the call is for.
func (x *Interceptor) changed(call *hauberk.Call) error {
	if x.tenant {
		return x.mismatch(call)
	}
	return x.reject(call, ReasonChanged, ErrChanged, "differs from that of the first request")
}

// mismatch is the rejection of a call, or of its request, that is for another tenant.
func (x *Interceptor) mismatch(call *hauberk.Call) error {
	call.Decide(hauberk.Decision{
		Interceptor: name, Rule: x.title(), Verdict: hauberk.Rejected, Reason: ReasonMismatch,
	})
	return &hauberk.Rejection{
		Code: codes.PermissionDenied, Reason: ReasonMismatch, Cause: ErrMismatch,
		Message: "The request is for another tenant than that of the caller",
	}
}

// missing is the rejection of a call without a value.
func (x *Interceptor) missing(call *hauberk.Call) error {
	if d := call.Method().Descriptor(); d != nil {
		if _, err := x.field.reader.Resolve(d.Input()); err != nil {
			call.Decide(hauberk.Decision{Rule: x.title(), Verdict: hauberk.Rejected, Reason: ReasonMissing})
			return status.Errorf(codes.Internal, "%s: %s: %v", x.title(), call.Method().FullName(), err)
		}
	}
	return x.reject(call, ReasonMissing, ErrMissing, "is required")
}

// reject rejects the call for the value of its field.
func (x *Interceptor) reject(call *hauberk.Call, reason string, cause error, what string) error {
	call.Decide(hauberk.Decision{Interceptor: name, Rule: x.title(), Verdict: hauberk.Rejected, Reason: reason})
	path := x.pathOf(call)
	return &hauberk.Rejection{
		Code: codes.InvalidArgument, Reason: reason, Cause: cause,
		Message:         fmt.Sprintf("The field %s of the request %s", path, what),
		FieldViolations: []hauberk.FieldViolation{{Field: path, Description: what}},
	}
}

// pathOf returns the path that counts for the method of a call.
func (x *Interceptor) pathOf(call *hauberk.Call) string {
	if d := call.Method().Descriptor(); d != nil {
		if f, err := x.field.reader.Resolve(d.Input()); err == nil {
			return f.Path()
		}
	}
	return x.field.Name()
}
