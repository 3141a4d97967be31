package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/wrongside"
)

// Interceptor changes calls. Make it with [New]. It may be used by any number of
// chains at once.
type Interceptor struct {
	metadata        rewrite
	header, trailer metadata.MD // on a server
	timeouts        timeouts
	method          string            // on a client
	compressor      string            // on a server
	options         []grpc.CallOption // on a client
	hooks           []func(call *hauberk.Call)
	statuses        statuses

	made      bool     // by New
	misplaced [2]error // by side: that it cannot do what was asked for
	errs      []error
}

// Option adds to an [Interceptor] what data cannot say.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithCredentials has calls of a client carry credentials, in place of the
// caller's own grpc.PerRPCCredentials.
func WithCredentials(creds credentials.PerRPCCredentials) Option {
	return option(func(x *Interceptor) {
		if creds == nil {
			x.failf("WithCredentials was given nil credentials")
		}
		x.options = append(x.options, grpc.PerRPCCredentials(creds))
	})
}

// WithCallOptions has calls of a client made with further options, behind those of
// the caller: of two that say the same the later holds. Options that tell of one
// call's end (grpc.Header, grpc.Trailer, grpc.Peer, grpc.OnFinish) are rejected,
// since all calls would share them.
func WithCallOptions(opts ...grpc.CallOption) Option {
	return option(func(x *Interceptor) {
		for _, o := range opts {
			switch o.(type) {
			case nil:
				x.failf("WithCallOptions was given a nil option")
			case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
				x.failf("WithCallOptions was given a %T, which is for one call; "+
					"use Call.CaptureMetadata in an interceptor", o)
			}
		}
		x.options = append(x.options, opts...)
	})
}

// New returns an interceptor. What is wrong with the configuration is reported by
// hauberk.New.
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
	x.take(config)
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

// take takes what has to be checked and put into a form of its own.
func (x *Interceptor) take(config Config) {
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

// place notes which side cannot do what was asked for.
func (x *Interceptor) place(config Config) {
	clients := names(
		trait{"Timeout", config.Timeout > 0}, trait{"NoTimeout", config.NoTimeout},
		trait{"Method", config.Method != ""}, trait{"WaitForReady", config.WaitForReady != nil},
		trait{"call options", len(x.options) > 0},
	)
	servers := names(trait{"Header", len(config.Header) > 0}, trait{"Trailer", len(config.Trailer) > 0})
	if clients != "" && servers != "" {
		x.failf("only clients have %s, only servers %s; want an interceptor for each", clients, servers)
	}
	if clients != "" {
		x.misplaced[hauberk.ServerSide] = wrongside.ForClients("transform with " + clients)
	}
	if servers != "" {
		x.misplaced[hauberk.ClientSide] = wrongside.ForServers("transform with " + servers)
	}
}

// trait is something that can be asked for.
type trait struct {
	name  string
	asked bool
}

func names(traits ...trait) string {
	var asked []string
	for _, t := range traits {
		if t.asked {
			asked = append(asked, t.name)
		}
	}
	return strings.Join(asked, ", ")
}

// Declare tells chains what is wrong with the configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := errors.Join(x.errs...)
	if !x.made {
		err = errors.New("a zero Interceptor; make it with transform.New")
	}
	return hauberk.Declaration{Name: "transform", Err: err}
}

// Intercept changes the call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if err := x.prepare(ctx, call); err != nil {
		return err
	}
	ctx, release := x.timeouts.apply(ctx, call)
	defer release()
	err := next(x.metadata.apply(ctx, call.Side()), call)
	return x.statuses.apply(outcome(ctx, err))
}

// prepare changes what the context does not carry.
func (x *Interceptor) prepare(ctx context.Context, call *hauberk.Call) error {
	if err := x.misplaced[call.Side()]; err != nil {
		return err
	}
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
		_ = grpc.SetSendCompressor(ctx, x.compressor) // not to a client that does not accept it
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
