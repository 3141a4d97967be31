package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// world is the server and the client of a scenario, with their state.
type world struct {
	scenario     *scenario
	clock        *clock
	journal      *journal
	state        *variables
	results      results
	snapshots    map[string]any
	interceptors [2][]part // by hauberk.Side
	served       *gauge
	conn         *grpc.ClientConn
}

// run runs a scenario and returns its outcome.
func run(ctx context.Context, t testing.TB, sc *scenario) (*outcome, error) {
	t.Helper()
	w := &world{
		scenario: sc, clock: newClock(sc.Clock == "manual"), journal: &journal{}, state: newVariables(),
		results: results{byID: make(map[string]clientOutcome)}, served: newGauge(),
	}
	stop, err := w.start(ctx)
	if err != nil {
		return nil, err
	}
	for i := range sc.Steps {
		if err = w.step(ctx, &sc.Steps[i]); err != nil {
			err = fmt.Errorf("step %d: %w", i+1, err)
			break
		}
	}
	if err == nil {
		w.quiesce(ctx)
	}
	err = errors.Join(err, stop())
	return w.report(), err
}

// start builds both chains, and starts the server and the client.
func (w *world) start(ctx context.Context) (stop func() error, err error) {
	server, serverErr := w.chain(hauberk.ServerSide, w.scenario.Server)
	client, clientErr := w.chain(hauberk.ClientSide, w.scenario.Client)
	if err := errors.Join(serverErr, clientErr); err != nil {
		return nil, err
	}
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := server.NewServer(grpc.StatsHandler(w.served), grpc.WaitForHandlers(true))
	register(srv, w.journal, w.state)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(lis) }()

	target := lis.Addr().String()
	if w.scenario.NoServer {
		target = "127.0.0.1:1"
	}
	w.conn, err = grpc.NewClient("passthrough:///"+target,
		client.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, err
	}
	return func() error {
		err := w.conn.Close()
		srv.Stop()
		served := <-ended
		if errors.Is(served, grpc.ErrServerStopped) {
			served = nil // a call that is not sent can end before Serve begins
		}
		return errors.Join(err, served)
	}, nil
}

// chain builds a chain of a scenario. recovery is the outermost interceptor on both ends.
func (w *world) chain(side hauberk.Side, spec chainSpec) (*hauberk.Chain, error) {
	all := []hauberk.Interceptor{recovery.New(recovery.Config{}, recovery.WithLogger(discard()))}
	var config hauberk.Config
	for i, raw := range spec.Interceptors {
		p, err := w.part(side, raw)
		if err != nil {
			return nil, fmt.Errorf("%s: interceptor %d: %w", side, i+1, err)
		}
		w.interceptors[side] = append(w.interceptors[side], p)
		all = append(all, p.interceptors...)
		config.Public = append(config.Public, p.public...)
	}
	return config.New(all...)
}

// step runs one step.
func (w *world) step(ctx context.Context, s *step) error {
	switch {
	case s.Call != nil:
		return w.calls(ctx, s.Call)
	case s.Parallel != nil:
		return w.parallel(ctx, s.Parallel, millis(s.StaggerMS))
	case s.AdvanceMS != nil:
		w.clock.advance(millis(*s.AdvanceMS))
		return nil
	case s.SleepMS != nil:
		return wait(ctx, millis(*s.SleepMS))
	default:
		w.quiesce(ctx)
		return w.snapshot(s)
	}
}

// calls makes the calls of one step in sequence.
func (w *world) calls(ctx context.Context, raw json.RawMessage) error {
	all, err := expand(raw)
	for i := 0; err == nil && i < len(all); i++ {
		err = w.call(ctx, &all[i])
	}
	return err
}

// parallel starts calls in their order, some time apart, and waits for them all.
func (w *world) parallel(ctx context.Context, raw []json.RawMessage, apart time.Duration) error {
	var all []callSpec
	for _, one := range raw {
		expanded, err := expand(one)
		if err != nil {
			return err
		}
		all = append(all, expanded...)
	}
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() { errs[i] = w.call(ctx, &all[i]) })
		if err := wait(ctx, apart); err != nil {
			break
		}
	}
	running.Wait()
	return errors.Join(errs...)
}

// snapshot records the state of an interceptor, which its id or type identifies.
func (w *world) snapshot(s *step) error {
	side := hauberk.ServerSide
	if s.Side == "client" {
		side = hauberk.ClientSide
	}
	found := false
	for _, p := range w.interceptors[side] {
		if p.id != s.Interceptor {
			continue
		}
		found = true
		if w.snapshots == nil {
			w.snapshots = make(map[string]any)
		}
		w.snapshots[s.Snapshot] = p.snapshot()
	}
	if !found {
		return fmt.Errorf("snapshot %q: the %s's chain has no interceptor %q", s.Snapshot, s.Side, s.Interceptor)
	}
	return nil
}

// quiesce waits, for a limited time, until the server serves no call.
func (w *world) quiesce(ctx context.Context) {
	const most = 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	w.served.idle(ctx)
}
