package logging

import (
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// policy is the configuration for the calls of a method.
type policy struct {
	off, start, messages, payloads bool

	levels   [codes.Unauthenticated + 2]levelChoice // the last one for codes that gRPC does not define
	sampling *Sampling                              // nil to leave no call out
	always   slog.Level
	slow     time.Duration
}

type levelChoice struct {
	slog.Level

	chosen bool
}

// rules are the policies by method.
type rules struct {
	special []ruled
	general policy
}

type ruled struct {
	patterns pattern.Set
	policy   policy
}

// of returns the policy for a method.
func (r *rules) of(m *hauberk.Method) *policy {
	for i := range r.special {
		if r.special[i].patterns.Matches(m.Service(), m.Name()) {
			return &r.special[i].policy
		}
	}
	return &r.general
}

// unmatched returns the patterns of the rules that match none of the methods of a server.
func (r *rules) unmatched(methods []*hauberk.Method) []string {
	index := pattern.IndexOf(methods)
	all := make([]string, 0, len(r.special))
	for i := range r.special {
		setting := fmt.Sprintf("logging.Config.Rules[%d]", i)
		all = append(all, index.Unmatched(setting, r.special[i].patterns)...)
	}
	return all
}

// newRules compiles the parts of the Config that concern methods.
func (x *Interceptor) newRules(c Config) rules {
	general := policy{start: c.Start, messages: c.Messages || c.Payloads.On, payloads: c.Payloads.On}
	x.setLevels(&general, c.Levels, "Config.Levels")
	x.setSampling(&general, c.Sampling, "Config.Sampling")
	x.setSlow(&general, c.Slow, "Config.Slow")
	r := rules{general: general}
	for i, rule := range c.Rules {
		at := fmt.Sprintf("Config.Rules[%d]", i)
		r.special = append(r.special, ruled{x.patterns(rule.Methods, at), x.under(general, rule, at)})
	}
	return r
}

// under returns a policy with the changes of a rule.
func (x *Interceptor) under(p policy, rule Rule, at string) policy {
	p.off = rule.Off
	if rule.Level != nil {
		for code := range p.levels {
			p.levels[code] = levelChoice{*rule.Level, true}
		}
	}
	x.setLevels(&p, rule.Levels, at+".Levels")
	set(&p.start, rule.Start)
	x.setMessages(&p, rule)
	if rule.Sampling != nil {
		x.setSampling(&p, *rule.Sampling, at+".Sampling")
	}
	if rule.Slow != nil {
		x.setSlow(&p, *rule.Slow, at+".Slow")
	}
	return p
}

// setMessages sets which records of messages are written. Payloads implies them.
func (x *Interceptor) setMessages(p *policy, rule Rule) {
	set(&p.payloads, rule.Payloads)
	if rule.Payloads != nil {
		p.messages = x.config.Messages
	}
	set(&p.messages, rule.Messages)
	if rule.Payloads != nil && *rule.Payloads {
		p.messages = true
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (x *Interceptor) setLevels(p *policy, levels map[codes.Code]slog.Level, at string) {
	for code, level := range levels {
		if code > codes.Unauthenticated {
			x.failf("%s names %s; want one of gRPC's codes, 0 to 16", at, code)
			continue
		}
		p.levels[code] = levelChoice{level, true}
	}
}

func (x *Interceptor) setSampling(p *policy, s Sampling, at string) {
	if s.First < 0 || s.OneIn < 0 {
		x.failf("%s has First %d and OneIn %d; want numbers from 0", at, s.First, s.OneIn)
	}
	p.sampling, p.always = &s, slog.LevelWarn
	set(&p.always, s.Always)
	if s.OneIn == 1 || s.First <= 0 && s.OneIn <= 0 {
		p.sampling = nil
	}
}

func (x *Interceptor) setSlow(p *policy, slow time.Duration, at string) {
	if slow < 0 {
		x.failf("%s is %s; want a duration above 0, or 0 for none", at, slow)
	}
	p.slow = slow
}

func (x *Interceptor) patterns(texts []string, at string) pattern.Set {
	if len(texts) == 0 {
		x.failf("%s has no Methods; want patterns such as \"shop.v1.Cart/*\"", at)
	}
	set, bad := pattern.ParseAll(texts)
	for _, text := range bad {
		x.failf("%s has the bad pattern %q: %s", at, text, pattern.Want)
	}
	return set
}
