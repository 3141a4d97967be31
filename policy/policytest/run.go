package policytest

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy"
)

// Result is what became of a case.
type Result struct {
	Case

	// GotCode and GotReason are those of the last call, and Message is the text of its status.
	GotCode    codes.Code
	GotReason  string
	GotMessage string
	// GotAttempts is how many calls reached the service because of the last call.
	GotAttempts int
	// Decisions are the verdicts on the last call.
	Decisions []hauberk.Decision
}

// Passed reports whether the outcome is as expected.
func (r *Result) Passed() bool {
	return r.GotCode == r.Want.Code && (!r.Want.HasReason || r.GotReason == r.Want.Reason) &&
		(r.Want.Attempts < 0 || r.GotAttempts == r.Want.Attempts)
}

// Report is the results of all cases.
type Report struct {
	Results []Result
	// Unreached are the rules of authz by which no last call of a case was decided: "line 20: authz: rules[1]".
	Unreached []string
}

// Failed returns the number of cases that did not pass.
func (r *Report) Failed() (n int) {
	for i := range r.Results {
		if !r.Results[i].Passed() {
			n++
		}
	}
	return n
}

// Methods finds the descriptors of methods, such as *descriptorset.Set. It returns nil for unknown ones.
type Methods interface {
	Method(name string) protoreflect.MethodDescriptor
}

// Run runs cases against the policy of a file, each with a new policy. load loads it with options in addition to its
// own. methods may be nil: then methods without a kind are unary, and no case can have a message. The error is about
// the policy, or about a call that cannot be made, such as one with a message that is not one of its method.
func Run(cases []Case, load func(opts ...policy.Option) (*policy.Policy, error), methods Methods) (*Report, error) {
	report := &Report{}
	reached := make(map[string]bool)
	signer := newSigner()
	var entries []policy.Entry
	for i := range cases {
		r := &runner{Result: Result{Case: cases[i]}, methods: methods, signer: signer, now: time.Now()}
		signer.issuers = nil
		p, err := load(policy.WithTestAround(r.around()), policy.WithTestKeys(signer.replace),
			policy.WithClock(r.clock), policy.CheckOnly())
		if err != nil {
			return nil, err
		}
		entries = p.Entries()
		err = r.run(p)
		_ = p.Close()
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", r.Line, r.Name, err)
		}
		for _, d := range r.Decisions {
			reached[d.Interceptor], reached[d.Interceptor+" "+d.Rule] = true, true
		}
		report.Results = append(report.Results, r.Result)
	}
	report.Unreached = unreached(entries, reached)
	return report, nil
}

// unreached returns the rules of authz by which no call was decided.
func unreached(entries []policy.Entry, reached map[string]bool) (all []string) {
	for i := range entries {
		e := &entries[i]
		if e.Side != hauberk.ServerSide || e.Use != "authz" || e.Mode == policy.Off {
			continue
		}
		for _, rule := range rulesOf(*e) {
			if !reached["authz "+rule.name] {
				all = append(all, fmt.Sprintf("line %d: authz: %s", rule.line, rule.name))
			}
		}
	}
	return all
}

type rule struct {
	name string
	line int
}

// rulesOf returns the rules of an entry authz with the names that its decisions have.
func rulesOf(e policy.Entry) (all []*rule) {
	at := make(map[string]*rule)
	for _, s := range e.Settings {
		place, key, ok := strings.Cut(s.Key, ".")
		if !ok || !strings.HasPrefix(place, "rules") {
			continue
		}
		if place == "rules" {
			place = "rules[0]"
		}
		if at[place] == nil {
			at[place] = &rule{name: place, line: s.Line}
			all = append(all, at[place])
		}
		if key == "name" {
			at[place].name = s.Value
		}
	}
	return all
}
