package policycmd

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

const testLong = `Makes the calls of a file of cases against the chains of a policy, without a server, and compares
the outcomes:

  cases:
    - name: a buyer reads the cart
      method: shop.v1.Cart/Get
      identity: {subject: alice, method: jwt, roles: [buyer]}
    - name: a caller without a credential
      method: shop.v1.Cart/Get
      peer: 192.0.2.1
      metadata: {x-version: "2"}
      want: {code: UNAUTHENTICATED, reason: MISSING_TOKEN}
    - name: the third payment within a minute
      method: shop.v1.Cart/Pay
      identity: {subject: alice, roles: [buyer]}
      message: {amount: 3}     # needs --descriptors or --reflect
      calls: 3                 # want is the outcome of the last one
      want: RESOURCE_EXHAUSTED
    - name: a read is retried
      method: shop.v1.Cart/Get
      identity: {subject: alice, roles: [buyer]}
      upstream: [UNAVAILABLE, OK]
      want: {attempts: 2}

The keys of a case are name, method, kind, identity, metadata, peer, time, message, calls,
before, upstream and want; the documentation of package policy/policytest says what they
mean. Each case begins with full quotas, and its time does not change.

identity with method jwt, mtls or "api key" is proved to authn as a caller does it. Without
method it is in place of what authn verifies, and without identity the call has no
credential. The handler answers calls with OK, or with what the chain client makes of
the codes in upstream. Rules of authz that decided no case are listed. The exit code is
1 if an outcome differs.` + files

func testCommand() *cobra.Command {
	var s services
	cmd := &cobra.Command{
		Use:     "test FILE CASES",
		Short:   "Compare the verdicts of a policy on a table of calls",
		Long:    testLong,
		Example: "  hauberk test policy.yaml cases.yaml",
		Args:    exactly("FILE", "CASES"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.run(cmd, args[0], func(out printer, _ *policy.Policy) error {
			cases, err := policytest.Load(args[1])
			if err != nil {
				return out.fail(args[1], err)
			}
			report, err := policytest.Run(cases, func(opts ...policy.Option) (*policy.Policy, error) {
				opts = append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))
				return policy.Load(args[0], append(s.options(), opts...)...)
			}, s.methods())
			if err != nil {
				return out.fail(args[1], fmt.Errorf("%s: %w", args[1], err))
			}
			return tested(out, args, report)
		})
	}
	s.flags(cmd)
	jsonFlag(cmd)
	return cmd
}

// methods returns the methods of the services, or nil if none are known.
func (s *services) methods() policytest.Methods {
	if s.set == nil {
		return nil
	}
	return s.set
}

// testResult is the result of test in JSON.
type testResult struct {
	result

	Passed    int          `json:"passed"`
	Failed    int          `json:"failed"`
	Cases     []caseResult `json:"cases"`
	Unreached []string     `json:"unreached,omitempty"`
}

type caseResult struct {
	Name      string     `json:"name"`
	Line      int        `json:"line"`
	Passed    bool       `json:"passed"`
	Code      string     `json:"code"`
	Reason    string     `json:"reason,omitempty"`
	Attempts  *int       `json:"attempts,omitempty"` // if the case compares them
	Decisions []decision `json:"decisions,omitempty"`
}

type decision struct {
	Interceptor string `json:"interceptor"`
	Rule        string `json:"rule,omitempty"`
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason,omitempty"`
	Shadow      bool   `json:"shadow,omitempty"`
}

func decisions(of []hauberk.Decision) (all []decision) {
	for _, d := range of {
		all = append(all, decision{d.Interceptor, d.Rule, d.Verdict.String(), d.Reason, d.Shadow})
	}
	return all
}

// tested writes a report, and fails if a case did.
func tested(out printer, args []string, report *policytest.Report) error {
	failed := report.Failed()
	v := testResult{
		result: result{File: args[0], Valid: true}, Passed: len(report.Results) - failed, Failed: failed,
		Unreached: report.Unreached,
	}
	var b strings.Builder
	for i := range report.Results {
		r := &report.Results[i]
		c := caseResult{
			Name: r.Name, Line: r.Line, Passed: r.Passed(), Code: codename.Of(r.GotCode), Reason: r.GotReason,
			Decisions: decisions(r.Decisions),
		}
		if r.Want.Attempts >= 0 {
			c.Attempts = &r.GotAttempts
		}
		v.Cases = append(v.Cases, c)
		if r.Passed() {
			continue
		}
		fmt.Fprintf(&b, "%s:%d: %s: the call ends with %s; want %s\n",
			args[1], r.Line, r.Name,
			verdict(codename.Of(r.GotCode), r.GotReason), verdict(codename.Of(r.Want.Code), r.Want.Reason))
		if r.Want.Attempts >= 0 && r.Want.Attempts != r.GotAttempts {
			fmt.Fprintf(&b, "  %d calls reached the service; want %d\n", r.GotAttempts, r.Want.Attempts)
		}
		for _, d := range r.Decisions {
			fmt.Fprintf(&b, "  %s %s %s %s\n", d.Interceptor, d.Verdict, d.Rule, d.Reason)
		}
	}
	for _, text := range report.Unreached {
		fmt.Fprintf(&b, "%s: %s decided no case\n", args[0], text)
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", v.Passed, v.Failed)
	var err error
	if out.json {
		err = out.write(v)
	} else {
		err = out.text(b.String())
	}
	if err == nil && failed > 0 {
		return reported{}
	}
	return err
}

// verdict returns a code with its reason.
func verdict(code, reason string) string {
	if reason == "" {
		return code
	}
	return code + " " + reason
}
