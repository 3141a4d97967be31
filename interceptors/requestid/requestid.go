package requestid

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Key is the key of the id in a call's state.
var Key = hauberk.NewKey[string]("request_id")

// FromContext returns the id of the call that ctx belongs to, or "" if it has none. In a
// handler that is the incoming call. Safe for concurrent use.
func FromContext(ctx context.Context) string { return Key.Or(ctx, "") }

// Interceptor gives calls their ids. Make it with [New]. It may be part of any number of
// chains at once, of servers and of clients.
type Interceptor struct {
	config   Config
	generate func() string // nil for UUIDv7
	echoes   echoes
	err      error
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	if config.Header == "" {
		config.Header = DefaultHeader
	}
	config.Header = strings.ToLower(config.Header)
	x := &Interceptor{config: config, echoes: echoes{header: config.Header}}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.err, nils, checkHeader(config.Header))
	return x
}

// Declare returns the name and the phase of the interceptor, the state that it writes,
// and the errors of its configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.config.Header == "" {
		err = errors.New("a zero Interceptor; make it with requestid.New")
	}
	return hauberk.Declaration{
		Name:   "requestid",
		Phase:  hauberk.PhaseRequestID,
		Writes: []hauberk.StateKey{Key},
		Err:    err,
	}
}

// Intercept gives the call its id.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Side() == hauberk.ClientSide {
		return next(x.client(ctx, call), call)
	}
	ctx, id := x.server(ctx, call)
	switch {
	case x.config.NoEcho:
		return next(ctx, call)
	case x.config.EchoErrorsInHeader || !own(ctx):
		_ = x.echoes.send(ctx, call, id, (*hauberk.Call).SetHeader) // see echoes.around
		return next(ctx, call)
	default:
		return x.echoes.around(ctx, call, id, next)
	}
}

func (x *Interceptor) server(ctx context.Context, call *hauberk.Call) (context.Context, string) {
	sent := call.Metadata(ctx, x.config.Header)
	id, ok := single(sent)
	if !ok || x.config.IgnoreIncoming {
		id = x.newID()
		if x.config.SetMetadata {
			ctx = x.setIncoming(ctx, id)
		}
	}
	Key.Set(call, id)
	return ctx, id
}

func (x *Interceptor) client(ctx context.Context, call *hauberk.Call) context.Context {
	given := call.Metadata(ctx, x.config.Header)
	id, ok := single(given)
	if !ok {
		if id = FromContext(hauberk.Incoming(ctx)); !Valid(id) {
			id = x.newID()
		}
		ctx = x.setOutgoing(ctx, id, len(given) > 0)
	}
	Key.Set(call, id)
	return ctx
}

func (x *Interceptor) newID() string {
	if x.generate != nil {
		if id := x.generate(); Valid(id) {
			return id
		}
	}
	return UUIDv7()
}

func (x *Interceptor) setIncoming(ctx context.Context, id string) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	if md == nil {
		md = metadata.MD{}
	}
	md[x.config.Header] = []string{id}
	return metadata.NewIncomingContext(ctx, md)
}

func (x *Interceptor) setOutgoing(ctx context.Context, id string, replace bool) context.Context {
	if !replace {
		return metadata.AppendToOutgoingContext(ctx, x.config.Header, id)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md[x.config.Header] = []string{id}
	return metadata.NewOutgoingContext(ctx, md)
}

// single returns the one value, if it is one and well-formed.
func single(values []string) (string, bool) {
	if len(values) == 1 && Valid(values[0]) {
		return values[0], true
	}
	return "", false
}

// Valid reports whether an id is well-formed: 1 to [MaxLength] ASCII letters, digits, ".",
// "_" and "-". The interceptor accepts no other values, because ids go into logs, headers
// and further calls.
func Valid(id string) bool {
	if id == "" || len(id) > MaxLength {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z'
}
