package ratelimit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
)

// FromPolicy returns limiters for the limits that .proto files state (hauberk/v1/policy.proto),
// each for the methods that have it. Those by peer belong outside of authentication, the others
// inside, next to other limits:
//
//	outside, inside := ratelimit.FromPolicy(policy, ratelimit.Config{})
//	chain, err := hauberk.New(slices.Concat(outside, []hauberk.Interceptor{authenticate}, inside)...)
//
// A limit by user counts the calls with the same Issuer and Subject of [hauberk.IdentityKey], one
// by tenant those with the same Tenant; calls without it count by their peer. A limit of a
// service has one quota for the calls of all methods that have it.
//
// config holds the settings that a policy does not have: all but Limit, Per and By, which
// hauberk.New reports. What the application sets with [hauberk.DescriptorPolicy.Override] holds in
// place of the .proto file. policy may be nil: there are no limiters then.
func FromPolicy(
	policy *hauberk.DescriptorPolicy, config Config, opts ...Option,
) (outside, inside []hauberk.Interceptor) {
	for _, q := range quotasOf(policy) {
		x := newStated(q, config, opts)
		if q.limit.By == hauberk.LimitByPeer {
			outside = append(outside, hauberk.For(q.methods, hauberk.Interceptor(x)))
		} else {
			inside = append(inside, hauberk.For(q.methods, hauberk.Interceptor(x)))
		}
	}
	return outside, inside
}

// stated is a limit of a policy, with the methods whose calls it counts together.
type stated struct {
	limit   hauberk.MethodLimit
	id      string // Limit.ID
	methods []string
	source  string
}

// quotasOf returns the limits of a policy, in the order of the methods.
func quotasOf(policy *hauberk.DescriptorPolicy) []*stated {
	if policy == nil {
		return nil
	}
	var all []*stated
	type sharing struct {
		service string
		limit   hauberk.MethodLimit
	}
	shared := make(map[sharing]*stated)
	equal := make(map[sharing]int)
	for i := range policy.Methods {
		m := &policy.Methods[i]
		setting, _ := m.Setting("limits")
		for _, l := range m.Limits {
			service, _, _ := strings.Cut(m.Method, "/")
			q := shared[sharing{service, l}]
			if q == nil || !l.Service {
				q = &stated{limit: l, id: m.Method, source: setting.Source}
				if l.Service {
					q.id = service + "/*"
				}
				of := sharing{q.id, l}
				equal[of]++
				if equal[of] > 1 {
					q.id += "#" + strconv.Itoa(equal[of])
				}
				all = append(all, q)
			}
			if l.Service {
				shared[sharing{service, l}] = q
			}
			q.methods = append(q.methods, m.Method)
		}
	}
	return all
}

// newStated returns the limiter of a stated limit.
func newStated(q *stated, config Config, opts []Option) *Interceptor {
	unwanted := config.Limit != 0 || config.Per != 0 || config.By.Name() != ""
	by, err := keyOf(q.limit.By)
	config.Limit, config.Per, config.By = q.limit.Count, q.limit.Per, by
	x := New(config, append(slices.Clone(opts), option(func(x *Interceptor) { x.id = q.id }))...)
	x.err = errors.Join(x.err, err)
	if unwanted {
		x.err = errors.Join(x.err, errors.New("FromPolicy was given Limit, Per or By, which are those of the policy"))
	}
	setting := hauberk.Setting{Name: "limit", Value: q.limit.String(), Source: q.source}
	x.settings = func(string) []hauberk.Setting { return []hauberk.Setting{setting} }
	return x
}

// keyOf returns the key of a stated limit.
func keyOf(by hauberk.LimitBy) (callkey.Key, error) {
	switch by {
	case hauberk.LimitByPeer:
		return callkey.Peer(), nil
	case hauberk.LimitByUser:
		return callkey.User(), nil
	case hauberk.LimitByTenant:
		return callkey.Tenant(), nil
	case hauberk.LimitByGlobal:
		return callkey.Global(), nil
	default:
		return callkey.Key{}, fmt.Errorf("the limit of the policy is by %v; want peer, user, tenant or global", by)
	}
}
