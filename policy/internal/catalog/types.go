package catalog

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnintrospect"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// enum is the name of a constant in Go and the word for it.
type enum[T any] struct {
	constant, word string
	value          T
}

func enums[T any](t *shape.Types, all ...enum[T]) {
	for _, e := range all {
		shape.AddWord(t, e.word, e.value, e.constant)
	}
}

// newTypes returns the shapes of all types of configurations.
func newTypes() *shape.Types {
	t := shape.NewTypes()
	addEnums(t)
	addWords(t)
	addKeys(t)
	t.Also(reflect.TypeFor[authnjwt.Config](), "Audiences", "audience")
	t.Also(reflect.TypeFor[authnintrospect.Config](), "Audiences", "audience")
	return t
}

// addEnums adds the constants of configurations.
func addEnums(t *shape.Types) {
	enums(t, enum[audit.Start]{"StartStreams", "streams", audit.StartStreams},
		enum[audit.Start]{"StartAll", "all", audit.StartAll}, enum[audit.Start]{"StartNone", "none", audit.StartNone})
	enums(t, enum[breaker.By]{"ByService", "service", breaker.ByService},
		enum[breaker.By]{"ByMethod", "method", breaker.ByMethod},
		enum[breaker.By]{"ByTarget", "target", breaker.ByTarget})
	enums(t, enum[concurrency.Streams]{"ForLife", "for_life", concurrency.ForLife},
		enum[concurrency.Streams]{"ForMessages", "for_messages", concurrency.ForMessages})
	enums(t, enum[errs.Remote]{"Hide", "hide", errs.Hide}, enum[errs.Remote]{"Translate", "translate", errs.Translate},
		enum[errs.Remote]{"PassOn", "pass_on", errs.PassOn})
	enums(t, enum[fault.Direction]{"Both", "both", fault.Both},
		enum[fault.Direction]{"Requests", "requests", fault.Requests},
		enum[fault.Direction]{"Responses", "responses", fault.Responses})
	enums(t, enum[ratelimit.Algorithm]{"GCRA", "gcra", ratelimit.GCRA},
		enum[ratelimit.Algorithm]{"SlidingWindow", "sliding_window", ratelimit.SlidingWindow},
		enum[ratelimit.Algorithm]{"FixedWindow", "fixed_window", ratelimit.FixedWindow})
	enums(t, enum[ratelimit.Messages]{"Requests", "requests", ratelimit.Requests},
		enum[ratelimit.Messages]{"Responses", "responses", ratelimit.Responses},
		enum[ratelimit.Messages]{"BothMessages", "both", ratelimit.BothMessages})
	enums(t, enum[ratelimit.OverLimit]{"End", "end", ratelimit.End},
		enum[ratelimit.OverLimit]{"Wait", "wait", ratelimit.Wait})
	enums(t, enum[ratelimit.Headers]{"NoHeaders", "none", ratelimit.NoHeaders},
		enum[ratelimit.Headers]{"RateLimit", "ratelimit", ratelimit.RateLimit},
		enum[ratelimit.Headers]{"XRateLimit", "x-ratelimit", ratelimit.XRateLimit},
		enum[ratelimit.Headers]{"AllHeaders", "all", ratelimit.AllHeaders})
	enums(t, enum[ratelimit.FailureMode]{"FailLocal", "local", ratelimit.FailLocal},
		enum[ratelimit.FailureMode]{"FailOpen", "open", ratelimit.FailOpen},
		enum[ratelimit.FailureMode]{"FailClosed", "closed", ratelimit.FailClosed})
	// Answer needs a function.
	enums(t, enum[validate.Action]{"End", "end", validate.End}, enum[validate.Action]{"Drop", "drop", validate.Drop})
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		shape.AddWord(t, kind.String(), kind, "")
	}
	for code := range codes.Code(codename.Count) {
		shape.AddWord(t, codename.Of(code), code, "")
	}
	enums(t, enum[slog.Level]{"", "debug", slog.LevelDebug}, enum[slog.Level]{"", "info", slog.LevelInfo},
		enum[slog.Level]{"", "warn", slog.LevelWarn}, enum[slog.Level]{"", "error", slog.LevelError})
}

// addWords adds words for whole structs, and texts for types of the standard library.
func addWords(t *shape.Types) {
	shape.AddFields[logging.Payloads](t, "what is logged of messages")
	enums(t, enum[logging.Payloads]{"", "never", logging.Payloads{}},
		enum[logging.Payloads]{"", "always", logging.Payloads{On: true}})
	shape.AddFields[logging.Names](t, "the names of attributes")
	enums(t, enum[logging.Names]{"", "opentelemetry", logging.OpenTelemetryNames()},
		enum[logging.Names]{"", "middleware", logging.MiddlewareNames()})
	shape.AddFields[recovery.Names](t, "the names of attributes")
	enums(t, enum[recovery.Names]{"", "opentelemetry", recovery.OpenTelemetryNames()},
		enum[recovery.Names]{"", "middleware", recovery.MiddlewareNames()})

	prefix := shape.AddForm(t, "a network", func(text string) (netip.Prefix, error) {
		if addr, err := netip.ParseAddr(text); err == nil {
			return netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return p, errors.New("it is not a network; want one such as 10.0.0.0/8")
		}
		return p, nil
	})
	prefix.Match, prefix.Example = `^[0-9a-fA-F:.]+(/[0-9]+)?$`, "10.0.0.0/8"
	mode := shape.AddForm(t, "permissions", func(text string) (fs.FileMode, error) {
		n, err := strconv.ParseUint(text, 8, 32)
		return fs.FileMode(n), err
	})
	mode.Match, mode.Example = `^0[0-7]{3}$`, `"0600"`
}

// keyForm is how keys of calls are written that are not one word.
type keyForm struct {
	// Metadata is a key of request metadata, whose last value counts.
	Metadata string
	// Field has paths of a field of requests, such as "repository.storage_name". Of several the first one
	// counts that the type of the request has.
	Field []string
	// CEL is an expression in CEL: see package callexpr.
	CEL string
	// Name is the kind of value in rejections and decisions, with CEL only. The default is "expression".
	Name string
	// Network has the number of leading bits of the caller's address that count.
	Network *networkForm
}

// networkForm is the part of an address that counts.
type networkForm struct {
	// IPv4 is the number of bits of IPv4 addresses, 0 to 32.
	IPv4 int `policy:"required"`
	// IPv6 is the number of bits of IPv6 addresses, 0 to 128.
	IPv6 int `policy:"required"`
}

// addKeys adds keys and costs of calls.
func addKeys(t *shape.Types) {
	key := shape.AddForm(t, "a key of calls", keyForm.key)
	key.OneOf = []string{"metadata", "field", "cel", "network"}
	key.Combine = func(values []reflect.Value) reflect.Value {
		keys := make([]callkey.Key, len(values))
		for i, v := range values {
			keys[i], _ = reflect.TypeAssert[callkey.Key](v)
		}
		return reflect.ValueOf(callkey.All(keys...))
	}
	enums(t, enum[callkey.Key]{"", "user", callkey.User()}, enum[callkey.Key]{"", "peer", callkey.Peer()},
		enum[callkey.Key]{"", "tenant", callkey.Tenant()}, enum[callkey.Key]{"", "method", callkey.Method()},
		enum[callkey.Key]{"", "global", callkey.Global()})
	shape.AddForm(t, "an expression", func(text string) (ratelimit.CallCost, error) {
		cost := callexpr.Cost(text)
		return cost, cost.Err()
	})
	shape.AddForm(t, "a field of requests", func(paths []string) (field.Field, error) {
		if len(paths) == 0 {
			return field.Field{}, errors.New("it has no path")
		}
		f := field.String(paths[0], paths[1:]...)
		return f, f.Err()
	})
}

// key makes the key.
func (f keyForm) key() (callkey.Key, error) {
	var keys []callkey.Key
	if f.Metadata != "" {
		keys = append(keys, callkey.Metadata(f.Metadata))
	}
	if len(f.Field) > 0 {
		keys = append(keys, field.String(f.Field[0], f.Field[1:]...).Key())
	}
	if f.CEL != "" {
		name := f.Name
		if name == "" {
			name = "expression"
		}
		keys = append(keys, callexpr.Key(name, f.CEL))
	}
	if f.Network != nil {
		keys = append(keys, callkey.Network(f.Network.IPv4, f.Network.IPv6))
	}
	switch {
	case len(keys) != 1:
		return callkey.Key{}, errors.New("it has " + strconv.Itoa(len(keys)) +
			" of metadata, field, cel and network; want one, or a list of keys")
	case f.Name != "" && f.CEL == "":
		return callkey.Key{}, errors.New("it has a name without cel")
	}
	return keys[0], keys[0].Err()
}
