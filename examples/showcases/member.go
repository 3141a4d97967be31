package showcases

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// The errors of a member of a cluster. Clients find them with errors.Is.
var (
	ErrCompacted = errors.New("the revision has been compacted")
	ErrNoSpace   = errors.New("the database has no space left")
)

// MemberErrors are the statuses of the errors. Clients use errs.New(errs.Config{}, MemberErrors).
var MemberErrors = errs.NewTable("member.example",
	errs.Sentinel(ErrCompacted, codes.OutOfRange, "COMPACTED"),
	errs.Sentinel(ErrNoSpace, codes.ResourceExhausted, "NO_SPACE"),
)

// The states of a member and of its leader, in addition to serving.Serving.
const (
	Learner  serving.State = "learner"   // it is not a voter yet
	Defrag   serving.State = "defrag"    // load balancers send calls elsewhere
	NoLeader serving.State = "no-leader" // new calls end at once, and running streams after three elections
)

// Member is a member of a cluster.
type Member struct {
	Chain         *hauberk.Chain
	State, Leader *serving.Interceptor
}

const leaderHeader = "x-require-leader"

// NewMember returns a member whose learner accepts only some methods.
func NewMember(
	learns []string, election, drain time.Duration, health serving.HealthServer, log audit.Sink,
) (m Member, err error) {
	m.State = serving.New(serving.Config{Initial: Learner, States: map[serving.State]serving.Rule{
		Learner: {Methods: learns, Ready: true},
		Defrag:  {Methods: []string{"*"}},
	}}, serving.WithHealth(health))
	m.Leader = serving.New(serving.Config{Initial: NoLeader, States: map[serving.State]serving.Rule{
		NoLeader: {Grace: 3 * election},
	}})
	withLeader := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if asks := call.Metadata(ctx, leaderHeader); len(asks) == 0 || asks[0] != "true" {
			return next(ctx, call)
		}
		return m.Leader.Intercept(ctx, call, next)
	}
	m.Chain, err = hauberk.Config{Drain: hauberk.Drain{Grace: drain}}.New(
		audit.New(audit.Config{BestEffort: true, Requests: []audit.Request{{Methods: []string{"*"}, All: true}}}, log),
		recovery.New(recovery.Config{}),
		m.State,
		hauberk.Named("require leader", hauberk.Func(withLeader)),
		errs.New(errs.Config{}, MemberErrors),
	)
	return m, err
}
