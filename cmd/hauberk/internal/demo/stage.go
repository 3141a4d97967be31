package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// stage is the shop on its listener and a connection to it. The server has one chain,
// and each shopper has a client chain.
type stage struct {
	interceptors

	chain  *hauberk.Chain // of the server
	srv    *hauberk.Server
	lis    net.Listener
	conn   *grpc.ClientConn
	crowd  crowd
	opened time.Time
	served chan error
}

func openStage(ctx context.Context, logger *slog.Logger, providers *otelenv.Providers) (*stage, error) {
	issuer, err := openIssuer(ctx, time.Now)
	if err != nil {
		return nil, err
	}
	st := &stage{
		interceptors: interceptors{
			logger:   logger,
			spans:    newTracing(providers),
			counts:   newMetrics(),
			tries:    newMetrics(),
			open:     new(openCalls),
			attempts: new(attempts),
			breaker:  newBreaker(),
			issuer:   issuer,
			tokens:   issuer.accepted(authnjwt.WithLogger(logger)),
		},
		opened: time.Now(),
		served: make(chan error, 1),
	}
	if err := st.start(ctx); err != nil {
		return nil, errors.Join(err, st.closeIssuer())
	}
	return st, nil
}

// start starts the shop. It fetches the keys of the issuer first, so that no call waits.
func (st *stage) start(ctx context.Context) (err error) {
	if st.chain, err = st.serverChain(); err != nil {
		return err
	}
	token, err := st.issuer.token(anna)
	if err == nil {
		_, err = st.tokens.Validate(ctx, token)
	}
	if err != nil {
		return err
	}
	if st.lis, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if err := st.connect(); err != nil {
		return errors.Join(err, st.lis.Close())
	}
	st.serve()
	return nil
}

// connect creates the connection that all shoppers share, and a chain for each.
func (st *stage) connect() error {
	chains := make(map[string]*hauberk.Chain)
	for _, name := range shoppers() {
		chain, err := st.clientChain(name)
		if err != nil {
			return err
		}
		chains[name] = chain
	}
	conn, err := grpc.NewClient(st.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(chains[anna].StatsHandler(hauberk.ClientSide))) // one chain's handler serves all chains
	if err != nil {
		return err
	}
	st.conn, st.crowd = conn, make(crowd)
	for name, chain := range chains {
		st.crowd[name] = newShopper(chain.ClientConn(conn))
	}
	return nil
}

func (st *stage) serve() {
	st.srv = st.chain.NewServer(grpc.WaitForHandlers(true))
	new(shop).register(st.srv)
	reflection.Register(st.srv)
	st.counts.Register(st.srv.GetServiceInfo()) // creates the series with the value 0
	go func() { st.served <- st.srv.Serve(st.lis) }()
}

func (st *stage) addr() string { return st.lis.Addr().String() }

// close closes the connection and stops the server, including its handlers, and the issuer.
func (st *stage) close() error {
	err := st.conn.Close()
	st.srv.Stop()
	return errors.Join(err, <-st.served, st.closeIssuer())
}

func (st *stage) closeIssuer() error {
	st.tokens.Close()
	return st.issuer.close()
}

// totals returns what the shoppers' chains have counted.
func (st *stage) totals() *totals {
	methods := make(map[string]bool)
	for service, info := range st.srv.GetServiceInfo() {
		for _, m := range info.Methods {
			methods["/"+service+"/"+m.Name] = true
		}
	}
	t := newTotals(st.counts.Snapshot().Client, methods, time.Since(st.opened))
	t.Retries = st.attempts.totals()
	for circuit, state := range st.breaker.States() {
		t.Breakers[circuit] = state.String()
	}
	return t
}
