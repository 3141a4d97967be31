package logging_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// decider is an interceptor that decides.
type decider struct {
	name    string
	rejects bool
}

func (d decider) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: d.name, Decides: true}
}

func (d decider) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if d.rejects {
		return hauberk.Reject(codes.PermissionDenied, "NOT_"+d.name, "no")
	}
	return next(ctx, call)
}

// decided returns "interceptor verdict" for each decision in a record, followed by "shadow".
func decided(record map[string]any) (list []string) {
	made, _ := record[logging.KeyDecisions].([]any)
	for _, one := range made {
		d := one.(map[string]any)
		text := fmt.Sprint(d["interceptor"], " ", d["verdict"])
		if d["reason"] != nil {
			text += fmt.Sprint(" ", d["reason"])
		}
		if shadow, _ := d["shadow"].(bool); shadow {
			text += " shadow"
		}
		list = append(list, text)
	}
	return list
}

// A record has the rejections, enforced or in shadow, and with Config.Decisions the
// verdicts of all deciding interceptors, also of those that record none.
func TestDecisionTrace(t *testing.T) {
	for name, test := range map[string]struct {
		rejects     bool
		some, whole []string
	}{
		"allowed": {
			false,
			[]string{"B rejected NOT_B shadow"},
			[]string{"A allowed", "B rejected NOT_B shadow", "C allowed"},
		},
		"rejected": {
			true,
			[]string{"B rejected NOT_B shadow", "C rejected NOT_C"},
			[]string{"A allowed", "B rejected NOT_B shadow", "C rejected NOT_C"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				some, whole := newJournal(), newJournal()
				env := c.Start(t, logging.New(logging.Config{}, some.option()), logging.New(logging.Config{Decisions: true}, whole.option()),
					decider{"A", false}, hauberk.Shadow(decider{"B", true}), decider{"C", test.rejects})
				_ = env.Call(t.Context())
				env.Server.GracefulStop()
				if got := decided(some.only(t)); !slices.Equal(got, test.some) {
					t.Errorf("recorded %q, want %q", got, test.some)
				}
				if got := decided(whole.only(t)); !slices.Equal(got, test.whole) {
					t.Errorf("the trace is %q, want %q", got, test.whole)
				}
			})
		})
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	j := newJournal()
	many := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for range 100 {
			call.Decide(hauberk.Decision{Interceptor: "many", Verdict: hauberk.Rejected, Shadow: true})
		}
		return next(ctx, call)
	})
	serveText(t, hauberk.Must(hauberk.New(logging.New(logging.Config{}, j.option()), many)), 0)
	record := j.only(t)
	if got := len(decided(record)); got != 64 {
		t.Errorf("%d decisions, want 64", got)
	}
	check(t, record, map[string]any{logging.KeyDecisionsDropped: 36.0})
}
