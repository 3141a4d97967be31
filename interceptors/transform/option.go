package transform

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Option adds to an [Interceptor] what a [Config] cannot have: functions and credentials.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithCredentials adds creds to calls of a client. They replace the caller's own
// grpc.PerRPCCredentials.
func WithCredentials(creds credentials.PerRPCCredentials) Option {
	return option(func(x *Interceptor) {
		if creds == nil {
			x.failf("the credentials of WithCredentials are nil")
		}
		x.options = append(x.options, grpc.PerRPCCredentials(creds))
	})
}

// WithCallOptions appends opts to the options of calls of a client. Of two options for
// the same setting the later one is effective. hauberk.New reports options that receive
// results of one call (grpc.Header, grpc.Trailer, grpc.Peer, grpc.OnFinish), since all
// calls would share them.
func WithCallOptions(opts ...grpc.CallOption) Option {
	return option(func(x *Interceptor) {
		for _, o := range opts {
			switch o.(type) {
			case nil:
				x.failf("an option of WithCallOptions is nil")
			case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
				x.failf("an option of WithCallOptions is a %T, which is for one call; "+
					"use Call.CaptureMetadata in an interceptor", o)
			}
		}
		x.options = append(x.options, opts...)
	})
}
