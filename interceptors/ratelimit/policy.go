package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
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
// config holds the settings that a policy does not have: Burst, Algorithm, MaxKeys and
// ChargeUnknown. hauberk.New reports others. What the application sets with
// [hauberk.DescriptorPolicy.Override] holds in place of the .proto file. policy may be nil: there
// are no limiters then.
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
	service string // of a limit that methods share
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
	for i := range policy.Methods {
		m := &policy.Methods[i]
		setting, _ := m.Setting("limits")
		for _, l := range m.Limits {
			service, _, _ := strings.Cut(m.Method, "/")
			q := shared[sharing{service, l}]
			if q == nil || !l.Service {
				q = &stated{limit: l, service: service, source: setting.Source}
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
	unwanted := config.Limit != 0 || config.Per != 0 || config.By.kind != ""
	config.Limit, config.Per, config.By = q.limit.Count, q.limit.Per, keyOf(q.limit.By)
	x := New(config, opts...)
	if unwanted {
		x.err = errors.Join(x.err, errors.New("FromPolicy was given Limit, Per or By, which are those of the policy"))
	}
	setting := hauberk.Setting{Name: "limit", Value: q.limit.String(), Source: q.source}
	x.settings = func(string) []hauberk.Setting { return []hauberk.Setting{setting} }
	return x
}

// keyOf returns the key of a stated limit.
func keyOf(by hauberk.LimitBy) Key {
	switch by {
	case hauberk.LimitByPeer:
		return ByPeer()
	case hauberk.LimitByUser:
		return byIdentity("user", userOf)
	case hauberk.LimitByTenant:
		return byIdentity("tenant", func(id *hauberk.Identity) string { return id.Tenant })
	case hauberk.LimitByGlobal:
		return Global()
	default:
		k := newKey("unknown", nil)
		k.err = errors.New("the limit of the policy is by " + by.String() + "; want peer, user, tenant or global")
		return k
	}
}

func byIdentity(kind string, of func(id *hauberk.Identity) string) Key {
	return By(kind, func(_ context.Context, call *hauberk.Call) (string, bool) {
		id, ok := hauberk.IdentityKey.Get(call)
		if !ok || id == nil {
			return "", false
		}
		key := of(id)
		return key, key != ""
	}, hauberk.IdentityKey)
}

// userOf returns a key for the subject of an issuer. The length of the issuer shows where it
// ends, for any content.
func userOf(id *hauberk.Identity) string {
	if id.Issuer == "" || id.Subject == "" {
		return id.Subject
	}
	return strconv.Itoa(len(id.Issuer)) + ":" + id.Issuer + id.Subject
}
