package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor modifies calls. Make it with [New]. It is safe for concurrent use by any
// number of chains.
type Interceptor struct {
	metadata        rewrite
	header, trailer metadata.MD // on a server
	timeouts        timeouts
	stated          map[string]deadline // by full name; nil without WithPolicy
	method          string              // on a client
	compressor      string              // on a server
	options         []grpc.CallOption   // on a client
	hooks           []func(call *hauberk.Call)
	statuses        statuses

	made  bool // by New
	sides hauberk.Sides
	errs  []error
}

// New returns an interceptor for both sides, or for one if a setting is for that side
// only. hauberk.New reports errors of the configuration and nil options.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{
		made:       true,
		method:     config.Method,
		compressor: config.Compressor,
		timeouts:   timeouts{config.Timeout, config.DefaultTimeout, config.MaxTimeout, config.NoTimeout},
	}
	if err := options.Apply(opts, func(o Option) { o.apply(x) }); err != nil {
		x.errs = append(x.errs, err)
	}
	x.place(config)
	x.parse(config)
	if config.WaitForReady != nil {
		x.options = append(x.options, grpc.WaitForReady(*config.WaitForReady))
	}
	if config.Compressor != "" {
		x.options = append(x.options, grpc.UseCompressor(config.Compressor))
	}
	return x
}

func (x *Interceptor) failf(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

// parse keeps the checked settings of config.
func (x *Interceptor) parse(config Config) {
	note := func(err error) {
		if err != nil {
			x.errs = append(x.errs, err)
		}
	}
	var err error
	note(config.check())
	x.metadata, err = newRewrite(config.Metadata)
	note(err)
	x.header, err = lowered("Config.Header", config.Header)
	note(err)
	x.trailer, err = lowered("Config.Trailer", config.Trailer)
	note(err)
	x.statuses, err = newStatuses(config.Statuses)
	note(err)
}

// place finds the sides that all settings work on.
func (x *Interceptor) place(config Config) {
	clients := names(
		trait{"Timeout", config.Timeout > 0}, trait{"NoTimeout", config.NoTimeout},
		trait{"Method", config.Method != ""}, trait{"WaitForReady", config.WaitForReady != nil},
		trait{"call options", len(x.options) > 0},
	)
	servers := names(trait{"Header", len(config.Header) > 0}, trait{"Trailer", len(config.Trailer) > 0})
	switch {
	case clients != "" && servers != "":
		x.failf("%s works only on clients, %s only on servers; want an interceptor for each", clients, servers)
	case clients != "":
		x.sides = hauberk.OnlyClients
	case servers != "":
		x.sides = hauberk.OnlyServers
	}
}

// trait is a setting for one side.
type trait struct {
	name string
	set  bool
}

func names(traits ...trait) string {
	var set []string
	for _, t := range traits {
		if t.set {
			set = append(set, t.name)
		}
	}
	return strings.Join(set, ", ")
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := errors.Join(x.errs...)
	if !x.made {
		err = errors.New("a zero transform.Interceptor; make it with transform.New")
	}
	d := hauberk.Declaration{Name: "transform", Sides: x.sides, Err: err}
	if x.stated != nil {
		d.Settings = x.settings
	}
	return d
}

// Intercept modifies the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if err := x.prepare(ctx, call); err != nil {
		return err
	}
	ctx, release := x.timeoutsOf(call).apply(ctx, call)
	defer release()
	err := next(x.metadata.apply(ctx, call.Side()), call)
	return x.statuses.apply(outcome(ctx, err))
}

// timeoutsOf returns the timeouts of a call: those of the Config, or else that of the policy.
func (x *Interceptor) timeoutsOf(call *hauberk.Call) timeouts {
	t := x.timeouts
	if t == (timeouts{}) {
		t.most = x.stated[call.Method().FullName()].most
	}
	return t
}

// prepare modifies what the context does not carry.
func (x *Interceptor) prepare(ctx context.Context, call *hauberk.Call) error {
	for _, register := range x.hooks {
		register(call)
	}
	if call.Side() == hauberk.ClientSide {
		return x.prepareClient(call)
	}
	return x.prepareServer(ctx, call)
}

func (x *Interceptor) prepareClient(call *hauberk.Call) error {
	if len(x.options) > 0 {
		call.AddOptions(x.options...)
	}
	if x.method != "" {
		return call.SetMethod(x.method)
	}
	return nil
}

func (x *Interceptor) prepareServer(ctx context.Context, call *hauberk.Call) error {
	if x.compressor != "" {
		_ = grpc.SetSendCompressor(ctx, x.compressor) // a client that does not accept it is an error
	}
	if len(x.header) > 0 {
		if err := call.SetHeader(x.header.Copy()); err != nil {
			return err
		}
	}
	if len(x.trailer) > 0 {
		return call.SetTrailer(x.trailer.Copy())
	}
	return nil
}
