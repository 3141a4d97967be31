package sidecar

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// policy is what the sidecar does to calls.
type policy struct {
	chain *hauberk.Chain
	calls *metrics.Metrics
}

// newPolicy makes the chain, which logs to out.
func (o *options) newPolicy(out io.Writer) (*policy, error) {
	logger := slog.New(slog.NewJSONHandler(out, nil))
	calls := metrics.New(metrics.Config{})
	chain, err := hauberk.New(
		// Outermost: all that is told of a call names its id.
		requestid.New(requestid.Config{NoEcho: !o.forwardID, SetMetadata: o.forwardID}),
		// Outside of all that can end a call.
		calls,
		logging.New(logging.Config{}, logging.WithLogger(logger), logging.State("request_id", requestid.Key)),
		// Innermost: a panic comes to the others as the error that the client gets.
		recovery.New(recovery.Config{}, recovery.WithLogger(logger)),
	)
	return &policy{chain: chain, calls: calls}, err
}

// summary says in a few words what became of the calls.
func (p *policy) summary() string {
	var calls, failed uint64
	for _, m := range p.calls.Snapshot().Server.Methods {
		calls += m.Calls
		failed += m.Errors
	}
	return fmt.Sprintf("%d calls, %d of them ended with an error", calls, failed)
}
