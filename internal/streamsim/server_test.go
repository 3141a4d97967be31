package streamsim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// serverProgram is one call on a server: the actions of the client, the chain and the handler.
type serverProgram struct {
	program // Seed, Kind, Tidy and Interceptors

	Decoded bool // the chain is an interceptor of the server instead of a registrar
	Client  []clientStep
	Window  int        // number of unread messages that the client takes; 0 for any number
	Handler []step     // the steps of the handler's own goroutine
	Others  [][]step   // the steps of goroutines that it starts
	Join    bool       // the handler waits for them
	Code    codes.Code // the code that it returns
	Panics  bool       // it panics instead of returning
}

// clientAct is the client's action in one step.
type clientAct uint8

const (
	cliSend clientAct = iota
	cliClose
	cliRead
	cliCancel
)

type clientStep struct {
	After time.Duration
	Do    clientAct
}

func (s clientStep) String() string {
	return after(s.After) + [...]string{"send", "close", "read", "cancel"}[s.Do]
}

func (p *serverProgram) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %d: server, %v", p.Seed, p.Kind)
	if p.Decoded {
		b.WriteString(", by interceptors")
	}
	if p.Window > 0 {
		fmt.Fprintf(&b, ", window %d", p.Window)
	}
	b.WriteByte('\n')
	for i, l := range p.Interceptors {
		fmt.Fprintf(&b, "  interceptor %d: %v\n", i, l)
	}
	fmt.Fprintf(&b, "  client: %v\n  handler: %s; ", p.Client, steps(p.Handler))
	switch {
	case p.Panics:
		b.WriteString("panics\n")
	default:
		fmt.Fprintf(&b, "returns %v\n", p.Code)
	}
	for _, o := range p.Others {
		fmt.Fprintf(&b, "  concurrently: %s\n", steps(o))
	}
	if p.Join {
		b.WriteString("  the handler waits for these\n")
	}
	return b.String()
}

// server is one call of a server and its stream of the transport. It behaves as grpc-go's server does.
type server struct {
	w      *world
	p      *serverProgram
	app    app // for its operations
	ctx    context.Context
	cancel context.CancelFunc

	// A handler does not call either concurrently with itself. They are channels, since a goroutine
	// that waits for a mutex is not idle in a bubble.
	sends, receives chan struct{}

	mu       sync.Mutex
	changed  chan struct{}
	inbox    []string // messages that the handler has not received
	sent     []string // messages that the client has sent
	half     bool
	unread   int
	out      []string // messages that the handler's side has sent
	popped   int
	sending  int
	receive  int
	begun    bool // the handler has begun
	returned bool
	returnAt time.Duration
	served   bool
	serveAt  time.Duration
	serveSeq int
	err      error // the result of the call
	panicked any
}

func (p *serverProgram) run(t *testing.T, bare bool) *world {
	w := &world{p: &p.program, bare: bare, rand: rand.New(rand.NewPCG(p.Seed, order.Add(1)))}
	w.srv = &server{w: w, p: p, changed: make(chan struct{})}
	runBubble(t, w, w.srv.run)
	return w
}

func (s *server) run() {
	w := s.w
	w.start = time.Now()
	w.kill = make(chan struct{})
	s.changed = make(chan struct{}) // of this bubble
	s.sends, s.receives = make(chan struct{}, 1), make(chan struct{}, 1)
	s.app.w = w
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer s.cancel()
	over := make(chan struct{})
	go s.client()
	go func() {
		defer close(over)
		defer s.end()
		s.serve()
	}()
	select {
	case <-over:
		synctest.Wait()
	case <-time.After(bound):
		s.quiet()
	}
	w.stop(s.cancel)
	s.mu.Lock()
	served := s.served
	s.mu.Unlock()
	if !served {
		w.violate(ruleBlocked, "the call has not ended %v after its context was done\n%s", grace, stacks())
	}
	close(w.kill)
}

// end records the end of the call.
func (s *server) end() {
	v := recover()
	seq := s.w.log(event{what: evOp, text: fmt.Sprintf("ends with %s, panic: %v", short(s.err), v)})
	s.mu.Lock()
	s.panicked, s.served, s.serveAt, s.serveSeq = v, true, s.w.now(), seq
	s.wake()
	s.mu.Unlock()
	s.cancel()
}

// serve runs the handler, on the bare server or inside the chain.
func (s *server) serve() {
	full := hauberktest.FullMethod(s.p.Kind)
	name := full[strings.LastIndexByte(full, '/')+1:]
	desc := &grpc.ServiceDesc{ServiceName: "hauberk.test.v1.TestService", HandlerType: (*any)(nil)}
	streamDesc := grpc.StreamDesc{
		StreamName: name, Handler: s.handleStream, ClientStreams: s.p.Kind.ClientStreams(), ServerStreams: s.p.Kind.ServerStreams(),
	}
	if s.p.Kind == hauberk.Unary {
		desc.Methods = []grpc.MethodDesc{{MethodName: name, Handler: s.handleUnary}}
	} else {
		desc.Streams = []grpc.StreamDesc{streamDesc}
	}
	var unary grpc.UnaryServerInterceptor
	if !s.w.bare {
		chain := s.w.chain()
		if !s.p.Decoded {
			reg := &registrar{}
			chain.Registrar(reg).RegisterService(desc, s)
			desc = reg.desc
		} else if s.p.Kind == hauberk.Unary {
			unary = chain.UnaryServerInterceptor()
		} else {
			info := &grpc.StreamServerInfo{
				FullMethod: full, IsClientStream: s.p.Kind.ClientStreams(), IsServerStream: s.p.Kind.ServerStreams(),
			}
			s.err = chain.StreamServerInterceptor()(s, (*wire)(s), info, s.handleStream)
			return
		}
	}
	if s.p.Kind != hauberk.Unary {
		s.err = desc.Streams[0].Handler(s, (*wire)(s))
		return
	}
	decode := func(msg any) error {
		msg.(*testpb.Request).Text = "s0.r0"
		return nil
	}
	s.change(func() { s.sent = []string{"s0.r0"} })
	response, err := desc.Methods[0].Handler(s, s.ctx, decode, unary)
	if s.err = err; err == nil {
		s.change(func() { s.out = append(s.out, textOf(response)) })
	}
}

// registrar records the registered service.
type registrar struct{ desc *grpc.ServiceDesc }

func (r *registrar) RegisterService(desc *grpc.ServiceDesc, _ any) { r.desc = desc }

//nolint:revive // the order of parameters is that of grpc.MethodDesc
func (s *server) handleUnary(
	_ any, ctx context.Context, decode func(any) error, own grpc.UnaryServerInterceptor,
) (any, error) {
	in := new(testpb.Request)
	if err := decode(in); err != nil {
		return nil, err
	}
	handle := func(_ context.Context, req any) (any, error) {
		s.beginHandler()
		defer s.returns()
		o := s.app.begin(actReceive, "", false)
		s.app.do(o, func() (string, error) {
			o.text = textOf(req)
			return "", nil
		})
		for _, st := range s.p.Handler {
			time.Sleep(st.After)
		}
		if err := s.result(); err != nil {
			return nil, err
		}
		o = s.app.begin(actSend, "", false)
		s.app.do(o, func() (string, error) { return "ok", nil })
		return &testpb.Response{Text: o.text}, nil
	}
	if own == nil {
		return handle(ctx, in)
	}
	return own(ctx, in, &grpc.UnaryServerInfo{Server: s, FullMethod: hauberktest.FullMethod(s.p.Kind)}, handle)
}

func (s *server) handleStream(_ any, stream grpc.ServerStream) error {
	s.beginHandler()
	defer s.returns()
	var wg sync.WaitGroup
	for i, list := range s.p.Others {
		wg.Go(func() { s.steps(stream, strings.Repeat("'", i+1), list) })
	}
	s.steps(stream, "", s.p.Handler)
	if s.p.Join {
		wg.Wait()
	}
	return s.result()
}

func (s *server) beginHandler() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
}

func (s *server) returns() {
	s.w.log(event{what: evOp, text: "the handler returns"})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned, s.returnAt = true, s.w.now()
}

func (s *server) result() error {
	if s.p.Panics {
		s.w.panics("the handler panics")
	}
	if s.p.Code != codes.OK {
		return status.Error(s.p.Code, "the handler fails")
	}
	return nil
}

// steps runs the steps of one goroutine of the handler.
func (s *server) steps(stream grpc.ServerStream, who string, list []step) {
	for _, st := range list {
		time.Sleep(st.After)
		switch st.Do {
		case actSend:
			s.sends <- struct{}{}
			o := s.app.begin(actSend, who, st.Big)
			s.app.do(o, func() (string, error) {
				msg := &testpb.Response{Text: o.text}
				defer func() { msg.Text = "reused" }() // the handler owns the message again
				return "ok", stream.SendMsg(msg)
			})
			<-s.sends
		case actDrain:
			for range 50 {
				if o := s.receiveOne(stream, who); o.err != nil || o.panicked != nil || !s.p.Kind.ClientStreams() {
					break
				}
			}
		default:
			s.receiveOne(stream, who)
		}
	}
}

func (s *server) receiveOne(stream grpc.ServerStream, who string) *op {
	s.receives <- struct{}{}
	defer func() { <-s.receives }()
	o := s.app.begin(actReceive, who, false)
	s.app.do(o, func() (string, error) {
		msg := new(testpb.Request)
		err := stream.RecvMsg(msg)
		if err == nil {
			o.text = msg.GetText()
		}
		return "", err
	})
	return o
}

// client runs the steps of the client.
func (s *server) client() {
	for _, st := range s.p.Client {
		select {
		case <-time.After(st.After):
		case <-s.ctx.Done():
			return
		}
		s.change(func() {
			switch st.Do {
			case cliSend:
				text := fmt.Sprintf("s0.r%d", len(s.sent))
				s.sent = append(s.sent, text)
				s.inbox = append(s.inbox, text)
			case cliClose:
				s.half = true
			case cliRead:
				s.unread = max(0, s.unread-1)
			case cliCancel:
			}
		})
		s.w.log(event{what: evOp, text: "client: " + st.String()})
		if st.Do == cliCancel {
			s.cancel()
		}
	}
}

func (s *server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wake()
}

func (s *server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until cond holds or the context is done. The lock is held.
func (s *server) await(cond func() bool) {
	for !cond() && s.ctx.Err() == nil {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.ctx.Done():
		}
		s.mu.Lock()
	}
}

func (s *server) room() bool { return s.p.Window == 0 || s.unread < s.p.Window }

// wire is the transport's stream of a server.
type wire server

func (*wire) SetHeader(metadata.MD) error  { return nil }
func (*wire) SendHeader(metadata.MD) error { return nil }
func (*wire) SetTrailer(metadata.MD)       {}

func (v *wire) Context() context.Context { return v.ctx }

// SendMsg sends a message to the client.
func (v *wire) SendMsg(msg any) error {
	s := (*server)(v)
	text := textOf(msg)
	defer s.w.yield()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending++; s.sending > 1 {
		s.w.violate(ruleMisuse, "two SendMsg of the stream run concurrently")
	}
	defer func() { s.sending-- }()
	s.await(s.room)
	if err := s.ctx.Err(); err != nil {
		return contextStatus(err)
	}
	if s.served {
		return status.Error(codes.Internal, "the call has ended")
	}
	s.unread++
	s.out = append(s.out, text)
	s.w.log(event{what: evTaken, text: text})
	return nil
}

// RecvMsg receives a message of the client.
func (v *wire) RecvMsg(msg any) error {
	s := (*server)(v)
	defer s.w.yield()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receive++; s.receive > 1 {
		s.w.violate(ruleMisuse, "two RecvMsg of the stream run concurrently")
	}
	defer func() { s.receive-- }()
	s.await(func() bool { return len(s.inbox) > 0 || s.half })
	switch {
	case len(s.inbox) > 0 && s.ctx.Err() == nil:
		text := s.inbox[0]
		s.inbox = s.inbox[1:]
		s.popped++
		s.w.log(event{what: evPop, text: text})
		setText(msg, text)
		return nil
	case s.ctx.Err() != nil:
		return contextStatus(s.ctx.Err())
	default:
		return io.EOF
	}
}

// serverAdapter is an interceptor of a grpc-go server.
func serverAdapter(i int, l interceptor) hauberk.Interceptor {
	changes := l.Kind == interceptorWrapChange
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if !changes {
			return handler(ctx, req)
		}
		response, err := handler(ctx, withText(req, textOf(req)+"a"))
		if err != nil {
			return nil, err
		}
		return withText(response, textOf(response)+"a"), nil
	}
	stream := func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(srv, wrappedServer{s, changes})
	}
	return hauberk.Named(fmt.Sprintf("adapter%d", i), hauberk.FromServer(unary, stream))
}

type wrappedServer struct {
	grpc.ServerStream

	changes bool
}

func (s wrappedServer) SendMsg(msg any) error {
	if s.changes {
		msg = withText(msg, textOf(msg)+"a")
	}
	return s.ServerStream.SendMsg(msg)
}

func (s wrappedServer) RecvMsg(msg any) error {
	err := s.ServerStream.RecvMsg(msg)
	if err == nil && s.changes {
		setText(msg, textOf(msg)+"a")
	}
	return err
}
