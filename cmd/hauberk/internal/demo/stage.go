package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// stage is the shop on its listener and a connection to it, with a chain on each
// end.
type stage struct {
	srv    *hauberk.Server
	lis    net.Listener
	conn   *grpc.ClientConn
	counts *metrics.Metrics // of both ends, which it keeps apart
	open   *openCalls
	opened time.Time
	served chan error
}

func openStage(ctx context.Context, logger *slog.Logger) (*stage, error) {
	st := &stage{
		counts: metrics.New(metrics.Config{}),
		open:   new(openCalls),
		opened: time.Now(),
		served: make(chan error, 1),
	}
	serverSide, err := serverChain(logger, st.counts)
	if err != nil {
		return nil, err
	}
	clientSide, err := clientChain(logger, st.counts, st.open)
	if err != nil {
		return nil, err
	}
	if st.lis, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	dial := clientSide.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	if st.conn, err = grpc.NewClient(st.addr(), dial...); err != nil {
		return nil, errors.Join(err, st.lis.Close())
	}
	st.serve(serverSide)
	return st, nil
}

func (st *stage) serve(chain *hauberk.Chain) {
	st.srv = chain.NewServer(grpc.WaitForHandlers(true))
	new(shop).register(st.srv)
	go func() { st.served <- st.srv.Serve(st.lis) }()
}

func (st *stage) addr() string { return st.lis.Addr().String() }

// close ends the connection and the server, with its handlers.
func (st *stage) close() error {
	err := st.conn.Close()
	st.srv.Stop()
	return errors.Join(err, <-st.served)
}

// totals returns the counts of the client's chain.
func (st *stage) totals() *totals {
	methods := make(map[string]bool)
	for service, info := range st.srv.GetServiceInfo() {
		for _, m := range info.Methods {
			methods["/"+service+"/"+m.Name] = true
		}
	}
	return newTotals(st.counts.Snapshot().Client, methods, time.Since(st.opened))
}
