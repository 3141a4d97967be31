package requestid

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// DefaultHeader is the metadata key that ids travel under.
const DefaultHeader = "x-request-id"

// MaxLength is the greatest length of an id, in bytes.
const MaxLength = 128

// Key is where the id stands in a call's state.
var Key = hauberk.NewKey[string]("request_id")

// FromContext returns the id of the call that ctx belongs to, in a handler that of
// the incoming call, or "" if it has none. Safe for concurrent use.
func FromContext(ctx context.Context) string { return Key.Or(ctx, "") }

// Config says how ids travel. The zero value is ready for use.
type Config struct {
	// Header is the metadata key that ids are sent and received under, in requests
	// and in response headers. Its case does not matter. The default is
	// DefaultHeader; gRPC's own keys and binary ones ("-bin") are rejected.
	Header string
	// NoEcho keeps a server from sending the id back.
	NoEcho bool
	// EchoErrorsInHeader makes a server send the id of failed calls in the response
	// header too, as gRPC Python does. By default a call that fails before its header
	// was sent carries the id in the trailer: with a header the response would not be
	// Trailers-Only, and neither gRPC's own retries (gRFC A6) nor Envoy and Linkerd
	// would retry the call.
	EchoErrorsInHeader bool
	// IgnoreIncoming makes a server take no id from its callers: each call gets a
	// new one. For servers whose callers are strangers.
	IgnoreIncoming bool
	// SetMetadata makes a server put a new id into the request metadata as well, in
	// place of what was not taken, for handlers that read it there and proxies that
	// send the metadata on. It costs a copy of the metadata, without which that
	// stays as it came.
	SetMetadata bool
}

// Interceptor gives calls their ids. Make it with [New]. It may be used by any
// number of chains at once, of servers and of clients.
type Interceptor struct {
	config   Config
	generate func() string // nil for UUIDv7
	echoes   echoes
	err      error
}

// Option changes what an [Interceptor] depends on.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithGenerator has new ids made by generate, in place of [UUIDv7]. It must be
// safe for concurrent use. Where it returns an id that is not well-formed
// ([Valid]) the call gets one of UUIDv7's instead.
func WithGenerator(generate func() string) Option {
	return option(func(x *Interceptor) {
		x.generate = generate
		if generate == nil {
			x.err = errors.New("WithGenerator was given a nil function")
		}
	})
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
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

// Declare tells chains that the id is written, and what is wrong with the
// configuration.
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
	id, taken := single(sent)
	if !taken || x.config.IgnoreIncoming {
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
	id, taken := single(given)
	if !taken {
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

// Valid reports whether an id is well-formed: 1 to [MaxLength] ASCII letters,
// digits, ".", "_" and "-". Nothing else is taken from a caller: ids go into logs,
// headers and further calls.
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

// checkHeader rejects keys that gRPC does not let applications use, or encodes.
// It is given them in lower case.
func checkHeader(key string) error {
	if metadatakey.Text(key) {
		return nil
	}
	return fmt.Errorf(`Config.Header is %q; want a metadata key such as %q: letters, digits, "-", "_" and ".",`+
		` none of gRPC's own and without the suffix "-bin"`, key, DefaultHeader)
}
