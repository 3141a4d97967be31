package deadline

import "github.com/hauberk-rpc/hauberk"

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithPolicy uses the deadlines that .proto files state (hauberk/v1/policy.proto) as Config.Max of
// their methods. Rules of the Config override them, and they override the fields of the Config. If
// several options have a policy for a method, the last one counts. policy may be nil.
func WithPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(x *Interceptor) {
		if policy == nil {
			return
		}
		if x.stated == nil {
			x.stated = make(map[string]level, len(policy.Methods))
		}
		for i := range policy.Methods {
			m := &policy.Methods[i]
			if m.Deadline <= 0 {
				continue
			}
			setting, _ := m.Setting("deadline")
			l := level{source: setting.Source}
			l.times[maxTime] = m.Deadline
			x.stated[m.Method] = l
		}
	})
}
