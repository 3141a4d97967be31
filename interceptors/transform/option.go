package transform

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
)

// Option adds to an [Interceptor] what a [Config] cannot have: functions and credentials.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithPolicy uses the deadlines that .proto files state (hauberk/v1/policy.proto) as Config.MaxTimeout
// of each method: the longest timeout of its calls, and the timeout of calls without a deadline.
// What the application configures overrides it: with Timeout, NoTimeout, DefaultTimeout or
// MaxTimeout in the Config the policy has no effect. policy may be nil.
func WithPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(x *Interceptor) {
		if policy == nil {
			return
		}
		x.stated = make(map[string]deadline, len(policy.Methods))
		for i := range policy.Methods {
			if m := &policy.Methods[i]; m.Deadline > 0 {
				setting, _ := m.Setting("deadline")
				x.stated["/"+m.Method] = deadline{m.Deadline, setting}
			}
		}
	})
}

// deadline is the deadline of a method by a policy.
type deadline struct {
	most    time.Duration
	setting hauberk.Setting
}

// settings returns the timeout of a method, and by which setting.
func (x *Interceptor) settings(method string) []hauberk.Setting {
	t := &x.timeouts
	own := func(value any, field string) []hauberk.Setting {
		return []hauberk.Setting{{Name: "deadline", Value: fmt.Sprint(value), Source: "transform.Config." + field}}
	}
	switch {
	case t.none:
		return own("none", "NoTimeout")
	case t.fixed > 0:
		return own(t.fixed, "Timeout")
	case t.most > 0:
		return own(t.most, "MaxTimeout")
	case t.absent > 0:
		return own(t.absent, "DefaultTimeout")
	}
	if d, ok := x.stated["/"+method]; ok {
		return []hauberk.Setting{d.setting}
	}
	return nil
}

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
