package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/news"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

// Interceptor accepts calls by the state of a server. Make it with [New]. It is safe for concurrent use by any
// number of chains and servers, which share its state.
type Interceptor struct {
	config Config
	states []*state // sorted by name
	exempt pattern.Set
	health []HealthServer
	news   news.News[Change]
	err    error

	current atomic.Pointer[state]
	closing atomic.Bool // Shutdown was called: health watches end, and the state remains; set with mu held
	calls   running.Methods[*stream]
	methods methodtable.Cache[*hauberk.Method, *method]
	kept    sync.Map // *running.Method[*stream] to *method, of known methods

	mu sync.Mutex // held while the state is switched
}

// method is what the interceptor knows of a method.
type method struct {
	calls    *running.Method[*stream]
	accepted []bool // by the index of the state
	exempt   bool   // accepted in each state
	health   bool   // of the health service
}

// New returns an interceptor for servers. hauberk.New reports what is wrong with its configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	states, exempt, err := config.states()
	x.states, x.exempt, x.err = states, exempt, errors.Join(err, x.err, nils)
	initial := x.find(cmp.Or(config.Initial, Starting))
	if initial == nil {
		initial = x.find(Starting) // the error says so
	}
	x.calls.Other() // so that the measurements have the same names from the start
	x.current.Store(initial)
	if x.err == nil {
		x.report(initial)
	}
	return x
}

// find returns a state by its name, or nil.
func (x *Interceptor) find(name State) *state {
	i := slices.IndexFunc(x.states, func(s *state) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return x.states[i]
}

// check returns what is wrong with the interceptor.
func (x *Interceptor) check() error {
	if x.states == nil {
		return errors.New("a zero serving.Interceptor; make it with serving.New")
	}
	return x.err
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "serving", Phase: hauberk.PhaseServing, Sides: hauberk.OnlyServers, Decides: true, Err: x.check(),
		Unmatched: x.unmatched, Settings: x.settings,
	}
}

// Intercept rejects the call if the state does not accept it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	m := x.methodOf(call.Method())
	if call.Kind() != hauberk.Unary {
		return x.stream(ctx, call, next, m)
	}
	if m.exempt {
		call.Abstain()
		return next(ctx, call)
	}
	m.calls.Add() // before it reads the state: see package running
	defer m.calls.Done()
	s := x.current.Load()
	if !m.accepted[s.index] {
		return s.reject(call, false)
	}
	s.allow(call)
	return next(ctx, call)
}

// allow records that a state accepts a call, unless it accepts all.
func (s *state) allow(call *hauberk.Call) {
	if !s.all() {
		call.Decide(hauberk.Decision{Rule: s.rule(), Verdict: hauberk.Allowed})
	}
}

// methodOf returns what is known of a method. The names of unknown methods come from callers and are not kept.
func (x *Interceptor) methodOf(m *hauberk.Method) *method {
	if kept, ok := x.methods.Get(m); ok {
		return kept
	}
	made := x.resolve(m.Service(), m.Name(), m.NoSideEffects())
	if !m.Known() {
		made.calls = x.calls.Other()
		return made
	}
	made.calls = x.calls.Of(strings.TrimPrefix(m.FullName(), "/"))
	x.kept.LoadOrStore(made.calls, made)
	return x.methods.Keep(m, made)
}

// resolve returns in which states a method is accepted.
func (x *Interceptor) resolve(service, name string, noSideEffects bool) *method {
	m := &method{accepted: make([]bool, len(x.states)), exempt: x.exempt.Matches(service, name)}
	m.health = service+"/*" == hauberk.Health
	for i, s := range x.states {
		m.accepted[i] = m.exempt || s.accepts(service, name, noSideEffects)
	}
	return m
}

// noSideEffects reports what the .proto file says about a method. It is false if the program does not contain the
// generated code.
func noSideEffects(service, full string) bool {
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return false
	}
	policy, err := hauberk.FromDescriptors(s)
	if err != nil {
		return false
	}
	m := policy.Method(full)
	return m != nil && m.Idempotent && m.NoSideEffects
}

// settings returns the state, and in which ones a method is accepted, for Explain.
func (x *Interceptor) settings(full string) []hauberk.Setting {
	service, name, _ := strings.Cut(full, "/")
	m := x.resolve(service, name, noSideEffects(service, full))
	accepted := slices.DeleteFunc(slices.Clone(x.states), func(s *state) bool { return !m.accepted[s.index] })
	source := "serving.Config.States"
	if m.exempt {
		source = "exempt"
	}
	now := x.current.Load()
	verdict := "accepted"
	if !m.accepted[now.index] {
		verdict = fmt.Sprintf("rejected with %s", now.rejection.Reason)
	}
	return []hauberk.Setting{
		{Name: "state", Value: fmt.Sprintf("%s (%s)", now.name, verdict), Source: "serving.Interceptor.Set"},
		{Name: "accepted in", Value: cmp.Or(list(accepted), "no state"), Source: source},
	}
}
