package hauberk

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/unknownhandler"
)

// Coverage returns the [Coverage] of the server's services, as Serve checks it. The error
// of a Coverage names the patterns that match no method; those of a server with its own
// grpc.UnknownServiceHandler, such as a proxy, may be for methods that it does not
// register, so that Unmatched is empty then.
func (s *Server) Coverage() *Coverage {
	return s.coverage(s.at.current.Load())
}

// coverage is Coverage with a chain.
func (s *Server) coverage(c *Chain) *Coverage {
	cov := c.Coverage(s.GetServiceInfo())
	if h := unknownhandler.Of(s.Server); h != 0 && h != unknownhandler.Pointer(s.at.serveUnknown) {
		cov.Unmatched = nil
	}
	return cov
}

// begin checks the coverage before the server serves. From then on it is checked before the chain is replaced.
func (s *Server) begin() error {
	s.at.changing.Lock()
	defer s.at.changing.Unlock()
	err := s.Coverage().Err()
	s.serving = s.serving || err == nil
	return err
}

// Serve serves connections of a listener until Stop, GracefulStop or Shutdown, and returns
// nil then, once the server has stopped. If [Server.Coverage] has an error, for a method
// without authentication, a pattern that matches no method or a setting that does not fit one,
// Serve closes the listener and returns that error. Other ways of serving, such as ServeHTTP, end the calls of methods
// without authentication with INTERNAL; their programs can call [Server.Coverage] themselves.
func (s *Server) Serve(lis net.Listener) error {
	if options.IsNil(lis) {
		return errors.New("hauberk: Server.Serve was called with a nil listener")
	}
	err := s.check("Serve")
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		_ = lis.Close()
		return err
	}
	return s.Server.Serve(lis)
}

// ServeHTTP serves one call of a net/http server that speaks HTTP/2. Once Shutdown was
// called, and the notice of [Config.Drain] has passed or its context has ended, it answers with UNAVAILABLE and
// [ReasonShuttingDown], and a request that is not a call of gRPC with 503 Service Unavailable.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.check("ServeHTTP"); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !s.web.start() {
		rejectHTTP(w, r)
		return
	}
	defer s.web.running.RUnlock()
	s.Server.ServeHTTP(w, r)
}

// Shutdown stops the server gracefully, as [Config.Drain] says:
//
//  1. It closes [Server.ShuttingDown] and sets the health service to NOT_SERVING, if that is grpc-go's and
//     registered on the server.
//  2. After Drain.Notice it accepts no new connections, and sends GOAWAY on those that are open, so that
//     clients make their next calls elsewhere. Calls that still arrive run, or are rejected with
//     Drain.RejectNew. The streams of the health service ([Health]) have no end, so that Shutdown ends them.
//  3. After Drain.Grace it ends the streams whose handler has not returned. Their clients receive UNAVAILABLE
//     with [ReasonShuttingDown], and the contexts of their handlers are done. Handlers that have not begun
//     do not run.
//  4. It waits for the calls that run, and returns nil once their handlers have returned, also those on copies
//     of [Call.Detach]. Of these no further one begins then: it ends with [ReasonShuttingDown].
//
// If ctx ends first, Shutdown calls Stop on another goroutine, which closes the connections and so cancels the
// calls that still run, and returns the error of ctx at once. That goroutine ends once Stop returns: grpc-go
// may wait for handlers there, such as with grpc.WaitForHandlers. [Server.Running] returns what runs.
// GracefulStop does only 2 and 4, and waits for streams without an end.
//
// grpc-go cannot let calls of ServeHTTP end gracefully, so Shutdown rejects new ones after the notice and waits
// for the others before it stops the rest: until then a server that uses both ServeHTTP and Serve accepts calls
// on its own connections. A net/http server has to be shut down by itself.
//
// A further Shutdown joins the first. Safe for concurrent use.
func (s *Server) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errors.New("hauberk: Server.Shutdown was called with a nil context")
	}
	if err := s.check("Shutdown"); err != nil {
		return err
	}
	s.drain.begin()
	if err := s.drain.wait(ctx); err != nil {
		s.web.over.Store(true)
		go s.Stop()
		return err
	}
	s.drain.stopNew()
	s.web.over.Store(true) // before Stop, which may follow at once
	stopped := make(chan struct{})
	go func() {
		s.web.drain(s.GracefulStop)
		if s.drain.waitDetached(ctx) == nil {
			close(stopped)
		}
	}()
	select {
	case <-stopped:
		s.drain.over()
		return nil
	case <-ctx.Done():
		go s.Stop()
		return ctx.Err()
	}
}

// check returns an error for a server that [Chain.NewServer] has not made.
func (s *Server) check(what string) error {
	if s == nil || s.Server == nil || s.at == nil {
		return errors.New("hauberk: " + what + " of a nil or zero Server; make servers with Chain.NewServer")
	}
	return nil
}

// webCalls are the calls of ServeHTTP. Each holds running for reading.
type webCalls struct {
	running sync.RWMutex
	over    atomic.Bool // no call starts
}

// start reports whether a call may start. It then holds running.
func (w *webCalls) start() bool {
	if !w.running.TryRLock() {
		return false
	}
	if w.over.Load() {
		w.running.RUnlock()
		return false
	}
	return true
}

// drain waits for the calls that run and calls then. over is set before, so that no call starts.
func (w *webCalls) drain(then func()) {
	w.running.Lock()
	defer w.running.Unlock()
	then()
}
