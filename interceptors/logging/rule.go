package logging

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// policy is what holds for the calls of a method.
type policy struct {
	off, start, messages, payloads bool

	levels   [codes.Unauthenticated + 2]levelChoice // the last for codes that gRPC does not have
	sampling *Sampling                              // nil to leave nothing out
	always   slog.Level
	slow     time.Duration
}

type levelChoice struct {
	slog.Level

	chosen bool
}

// rules are the policies, by method.
type rules struct {
	special []ruled
	general policy
}

type ruled struct {
	patterns []pattern
	policy   policy
}

// of returns the policy for a method.
func (r *rules) of(m *hauberk.Method) *policy {
	for i := range r.special {
		for _, p := range r.special[i].patterns {
			if p.matches(m) {
				return &r.special[i].policy
			}
		}
	}
	return &r.general
}

// newRules compiles what Config says of methods.
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

// under returns a policy as a rule changes it.
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

// setMessages says which records there are of messages. Payloads imply them.
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
		x.failf("%s has First %d and OneIn %d; want none below 0", at, s.First, s.OneIn)
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

// pattern is a set of methods, in the form that hauberk.For takes.
type pattern struct {
	service, name string // "" stands for any
}

func (p pattern) matches(m *hauberk.Method) bool {
	return (p.service == "" || p.service == m.Service()) && (p.name == "" || p.name == m.Name())
}

func (x *Interceptor) patterns(texts []string, at string) []pattern {
	if len(texts) == 0 {
		x.failf("%s has no Methods; want patterns such as \"shop.v1.Cart/*\"", at)
	}
	list := make([]pattern, 0, len(texts))
	for _, text := range texts {
		p, ok := parsePattern(text)
		if !ok {
			x.failf("%s has the bad pattern %q: "+
				"want \"package.Service/Method\", \"package.Service/*\" or \"*\"", at, text)
		}
		list = append(list, p)
	}
	return list
}

// parsePattern reads a pattern. hauberk.For judges patterns itself; a chain is
// asked, so that both accept the same.
func parsePattern(text string) (p pattern, ok bool) {
	if _, err := hauberk.New(hauberk.For(text, noLink)); err != nil {
		return pattern{}, false
	}
	service, name, _ := strings.Cut(strings.TrimPrefix(text, "/"), "/")
	if service == "*" {
		service = ""
	}
	if name == "*" {
		name = ""
	}
	return pattern{service, name}, true
}

// noLink is what parsePattern makes chains of. It never runs.
//
//nolint:gochecknoglobals // never written
var noLink = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
})
