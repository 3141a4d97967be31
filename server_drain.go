package hauberk

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/internal/running"
)

// Drain says how [Server.Shutdown] ends the calls of a server. With the zero value it accepts no connections
// from the start, and waits for all calls as long as its context allows.
type Drain struct {
	// Notice is how long the server goes on as before, with the health service at NOT_SERVING, so that load
	// balancers and the readiness probes of Kubernetes notice it and send new calls elsewhere. The default
	// is 0.
	Notice time.Duration
	// Grace is how long streams may run on after that. Those that still run then end with
	// [ReasonShuttingDown]. Unary calls go on. The default, 0, ends no streams: Shutdown waits for them until
	// its context ends.
	Grace time.Duration
	// RejectNew rejects calls whose handler has not begun after Notice, with [ReasonShuttingDown]: those that
	// arrive on connections that are still open, and those that wait in an interceptor. By default they run. A
	// client of grpc-go makes further calls elsewhere as soon as it has received GOAWAY. Calls of the health
	// service run in any case.
	RejectNew bool
}

// ReasonShuttingDown is the reason of calls that a [Server] ends or rejects since it shuts down. Their code is
// UNAVAILABLE, so that clients that may repeat them do so on another server.
const ReasonShuttingDown = "SERVER_SHUTTING_DOWN"

// ErrShuttingDown is the error that errors.Is finds in the rejections with [ReasonShuttingDown], in this process.
var ErrShuttingDown = errors.New("the server is shutting down")

//go:noinline // its variables would be on the stack of the chain as long as the call runs
func errShuttingDown() error {
	return &Rejection{
		Code: codes.Unavailable, Reason: ReasonShuttingDown, Message: "The server is shutting down",
		Cause: ErrShuttingDown,
	}
}

// check returns what is wrong with the settings.
func (d Drain) check() (errs []error) {
	if d.Notice < 0 {
		errs = append(errs, fmt.Errorf("hauberk: Config.Drain.Notice is %v; want a time, or 0 for none", d.Notice))
	}
	if d.Grace < 0 {
		errs = append(errs, fmt.Errorf(
			"hauberk: Config.Drain.Grace is %v; want a time, or 0 for no limit", d.Grace))
	}
	return errs
}

// drain is the calls of one server, and how far its shutdown is:
//
//	serving --begin--> notice --stopNew, after Notice--> draining --endStreams, after Grace--> ending
//
// Each step happens once. A call reads the step after it was added to calls (see package running).
type drain struct {
	Drain

	calls   running.Methods[*serverStream]
	began   chan struct{} // closed by begin
	noticed chan struct{} // closed after Notice

	rejects    atomic.Bool // new calls
	endsHealth atomic.Bool // the streams of the health service
	endsAll    atomic.Bool // all streams

	detached running.Methods[*serverStream] // handlers on copies of Call.Detach, as one method
	handled  atomic.Bool                    // all calls have ended: no such handler begins

	server *Server

	mu      sync.Mutex // guards what follows, and Drain
	health  []interface{ Shutdown() }
	stopped bool
	timer   *time.Timer // of Grace
}

func newDrain(config Drain) *drain {
	return &drain{Drain: config, began: make(chan struct{}), noticed: make(chan struct{})}
}

// set changes the settings, for the steps of the shutdown that have not begun.
func (d *drain) set(config Drain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Drain = config
}

// track keeps the calls of a method. The names of unknown methods come from callers.
func (d *drain) track(m *Method) {
	if d == nil {
		return
	}
	m.drain = d
	if m.known {
		m.running = d.calls.Of(m.full)
	} else {
		m.running = d.calls.Other()
	}
}

// watch keeps an implementation of the health service to set it to NOT_SERVING, if it is grpc-go's.
func (d *drain) watch(health any) {
	h, ok := health.(interface {
		Shutdown()
		Resume()
	})
	if ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.health = append(d.health, h)
	}
}

// begin sets the health service to NOT_SERVING, and starts the notice. The health service may be the program's.
func (d *drain) begin() {
	health, first := d.beginOnce()
	if !first {
		return
	}
	defer d.startNotice() // also if the health service panics: further calls of Shutdown wait for it
	for _, h := range health {
		h.Shutdown()
	}
}

// beginOnce notes that the shutdown has begun. It returns the health services, and whether this is the first time.
func (d *drain) beginOnce() (health []interface{ Shutdown() }, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.began:
		return nil, false
	default:
		close(d.began)
		return d.health, true
	}
}

func (d *drain) startNotice() {
	if d.Notice == 0 {
		close(d.noticed)
		return
	}
	time.AfterFunc(d.Notice, func() { close(d.noticed) })
}

// stopNew rejects new calls, if it is to, and ends the streams of the health service, which have no end.
func (d *drain) stopNew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.stopped = true
	d.rejects.Store(d.RejectNew)
	d.endsHealth.Store(true)
	d.endStreams()
	if d.Grace > 0 {
		d.timer = time.AfterFunc(d.Grace, func() {
			d.endsAll.Store(true)
			d.endStreams()
		})
	}
}

// over releases the timer.
func (d *drain) over() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// endStreams ends the streams that have to end by now, each on its own goroutine: the transport may block.
func (d *drain) endStreams() {
	for _, m := range d.calls.All() {
		for _, s := range m.Streams() {
			if d.ends(s.method) {
				go s.shutDown()
			}
		}
	}
}

// ends reports whether the streams of a method have to end by now.
func (d *drain) ends(m *Method) bool {
	return d.endsAll.Load() || d.endsHealth.Load() && m.isHealth()
}

// addDetached counts a handler on a copy of Call.Detach, which may run after its call has ended, until done is
// called. ok is false if it must not begin, since the server has stopped.
func (d *drain) addDetached() (done func(), ok bool) {
	all := d.detached.Other()
	all.Add()
	if d.handled.Load() {
		all.Done()
		return nil, false
	}
	return all.Done, true
}

// waitDetached returns nil once no handler runs on a copy of Call.Detach, or the error of ctx if that ends first. It
// is called when all calls have ended.
func (d *drain) waitDetached(ctx context.Context) error {
	d.handled.Store(true)
	return d.detached.Wait(ctx, func(*running.Method[*serverStream]) bool { return true })
}

// rejectsNew reports whether calls are rejected that begin now. d may be nil.
func (d *drain) rejectsNew() bool { return d != nil && d.rejects.Load() }

//go:noinline // as errShuttingDown
func (m *Method) isHealth() bool { return m.service+"/*" == Health }

// shutDown ends a stream, since the server shuts down.
func (s *serverStream) shutDown() {
	err := errShuttingDown()
	s.early.By(s.wire.Context(), err, func() { s.call.End(err) })
}

// track keeps a stream until untrack is called.
func (s *serverStream) track() {
	m := s.method.running
	if m == nil {
		return
	}
	m.AddStream(s)
	if s.method.drain.ends(s.method) {
		s.shutDown()
	}
}

func (s *serverStream) untrack() {
	if m := s.method.running; m != nil {
		s.early.Settle()
		m.DoneStream(s)
	}
}

// ShuttingDown returns a channel that is closed when [Server.Shutdown] begins. A handler of a stream without an
// end waits for it, to end the stream before Drain.Grace does:
//
//	select {
//	case event := <-events:
//		err = stream.Send(event)
//	case <-srv.ShuttingDown():
//		return status.Error(codes.Unavailable, "subscribe again")
//	}
//
// It is nil for a server that [Chain.NewServer] has not made. Safe for concurrent use.
func (s *Server) ShuttingDown() <-chan struct{} {
	if s == nil || s.drain == nil {
		return nil
	}
	return s.drain.began
}

// Running returns how many calls of the server run, by the full name of their method. It leaves out methods
// without any. Methods that the server does not have are counted as "other". Safe for concurrent use.
func (s *Server) Running() map[string]int {
	all := make(map[string]int)
	if s == nil || s.drain == nil {
		return all
	}
	for _, m := range s.drain.calls.All() {
		if n := m.Running(); n > 0 {
			all[m.Name] = int(n)
		}
	}
	return all
}

// measureServers returns the calls that run on the servers of the chain, by method.
func (c *Chain) measureServers() []Measurement {
	onClients := func(l *entry) bool { return l.decl.Sides == OnlyClients }
	if c.at.wraps.Load() || c.at.intercepts.Load() || slices.ContainsFunc(c.entries, onClients) {
		return nil
	}
	all := []Measurement{runningOf(running.Other)} // also before the first server: collectors ask for the names once
	at := map[string]int{running.Other: 0}
	for _, s := range c.at.servers() {
		for _, m := range s.drain.calls.All() {
			i, known := at[m.Name]
			if !known {
				i, at[m.Name] = len(all), len(all)
				all = append(all, runningOf(m.Name))
			}
			all[i].Value += float64(m.Running())
		}
	}
	return all
}

func runningOf(method string) Measurement {
	return Measurement{
		Name: "server_running", LabelName: "method", LabelValue: strings.TrimPrefix(method, "/"),
		Help: "Calls that run on the servers of the chain, by method.",
	}
}

// rejectHTTP answers a call of a net/http server: with UNAVAILABLE in a Trailers-Only response, or with 503 if
// it is not a call of gRPC.
func rejectHTTP(w http.ResponseWriter, r *http.Request) {
	st := StatusOf(errShuttingDown())
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		http.Error(w, st.Message(), http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(st.Code())))
	h.Set("Grpc-Message", st.Message()) // it needs no percent-encoding
	if details, err := proto.Marshal(st.Proto()); err == nil {
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
	w.WriteHeader(http.StatusOK)
}

// wait returns nil after the notice, or the error of ctx if that ends first.
func (d *drain) wait(ctx context.Context) error {
	select {
	case <-d.noticed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
