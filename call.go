package hauberk

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// Call is one call in a chain. Its methods are for the goroutine that runs the chain,
// between the start of Intercept and its return, unless they say that they are safe for
// concurrent use. Calls are never reused: a goroutine of a handler may keep one and read
// it after the call has ended.
type Call struct {
	ctx    callContext
	copyOf *Call // of a copy: the call that it is a copy of, whose state it shares
	plan   *plan
	method *Method
	end    terminal

	request  any // of single-request kinds, as changed so far on the way in; not in client streams
	response any // of single-response kinds, as changed so far on the way out
	opts     []grpc.CallOption
	last     error      // the outcome of the last next that returned
	leg      *leg       // the innermost open one; nil if no interceptor changed anything
	prepared *leg       // for the nexts of the running interceptor
	dryRun   *shadowRun // on the copy that an interceptor in dry run gets

	nexts nexts

	sent, received atomic.Int64
	abstained      atomic.Uint64 // which of the first 64 deciding interceptors did not decide, by place

	base     int32 // of a copy: the place of the nexts that it was made for
	side     Side
	kind     Kind // the method's, which SetMethod does not change
	detached bool // of a copy: it may run on a goroutine of an interceptor
	counts   bool // CountMessages was called
	captures bool // CaptureMetadata was called
	commits  bool // CommitOnHeader was called
	fresh    bool // the running interceptor has called Reply
	made     bool // the last attempt got to the transport
	unsent   bool // see Unsent
	borrowed bool // what is held are messages of Reply, which must not be modified
	leaving  bool // the chain's goroutine is ending by runtime.Goexit

	incoming *room // what a client has received; nil until it is needed

	values stateList
	mu     sync.Mutex // guards changes of values, extra's decisions, and moves between counts
	more   atomic.Pointer[extra]
}

// terminal is the inner end of a chain: it serves the call, or makes it.
type terminal interface {
	finish(ctx context.Context, call *Call) error
}

// extra is what few calls need.
type extra struct {
	decisions decisions
	replies   []any                 // of methods with server streaming
	replied   atomic.Int32          // how many they are
	badReply  error                 // what was wrong with the reply of the running interceptor
	entered   atomic.Int32          // how many nexts an earlier attempt, or one on a copy, has entered
	earlier   counts                // of attempts that have ended, or run on copies
	raised    any                   // what a concurrent attempt panicked with; guarded by the call's mutex
	wire      atomic.Pointer[Wire]  // of a client's current attempt
	record    *responseRecord       // of a detached call on a server
	detached  bool                  // the call was made by Detach
	wireTaken atomic.Bool           // of a detached call: a call has adopted its sizes
	ownKeys   []*keyID              // of a detached call: of attempts, set since; guarded by the call's mutex
	handler   *handlerOutcome       // of a detached call on a server, and of those that it was detached from
	ended     atomic.Pointer[error] // that End was called with first
	discards  int32                 // if not 0, attempts inside of this place are discarded; guarded by the stream

	failures     pushback.Failures        // of outgoing calls of a server's handler
	beforeHeader atomic.Pointer[[]func()] // of a server's stream
}

// received is what a client has received, except messages.
type received struct {
	header, trailer metadata.MD
	peer            peer.Peer
	earlier         bool // an earlier attempt had a stream of the transport
	shared          bool // others have the header and the trailer too, such as a cache
}

// streamed reports whether an attempt had a stream of the transport. grpc-go knows the peer
// of each.
func (r *received) streamed() bool {
	return r.earlier || r.peer.Addr != nil || r.header != nil || r.trailer != nil
}

// own returns metadata that the application may modify.
func (r *received) own(md metadata.MD) metadata.MD {
	if !r.shared || md == nil {
		return md
	}
	return md.Copy()
}

// reset forgets what an attempt received.
func (r *received) reset() { *r = received{earlier: r.streamed()} }

func (c *Call) lazy() *extra {
	if more := c.more.Load(); more != nil {
		return more
	}
	c.more.CompareAndSwap(nil, new(extra))
	return c.more.Load()
}

// keepReceived returns the memory for what a client receives.
func (c *Call) keepReceived() *received {
	if c.incoming == nil {
		c.incoming = new(room)
	}
	return &c.incoming.received
}

// state returns the call whose state a copy shares.
func (c *Call) state() *Call {
	for c.copyOf != nil {
		c = c.copyOf
	}
	return c
}

// within reports whether the call is another, or a copy of it, or a copy of a copy.
func (c *Call) within(other *Call) bool {
	for c != nil && c != other {
		c = c.copyOf
	}
	return c != nil
}

// Method returns the call's method. Safe for concurrent use, except concurrently with
// SetMethod.
func (c *Call) Method() *Method { return c.method }

// Public reports whether the method is in [Config.Public] of the chain. Safe for concurrent
// use, except concurrently with SetMethod.
func (c *Call) Public() bool { return c.method.public }

// Side returns the end that the chain runs on. Safe for concurrent use.
func (c *Call) Side() Side { return c.side }

// Kind returns the method's kind. Safe for concurrent use.
func (c *Call) Kind() Kind { return c.kind }

// CaptureMetadata keeps the response header, trailer and peer of a call on a client. Call
// it before next. It costs allocations. On a server it does nothing.
func (c *Call) CaptureMetadata() { c.captures = true }

// Header returns the response header of the last attempt on a client, after next, if the
// interceptor called [Call.CaptureMetadata] before next. It is nil if the server sent no
// header, as in a Trailers-Only response, after which gRFC A6 permits retries. It must
// not be modified.
func (c *Call) Header() metadata.MD { return c.captured().header }

// Trailer returns the response trailer on a client, after next, if the interceptor called
// [Call.CaptureMetadata] before next. It must not be modified.
func (c *Call) Trailer() metadata.MD { return c.captured().trailer }

func (c *Call) captured() received {
	more := c.more.Load()
	switch {
	case more != nil && more.record != nil:
		header, trailer := more.record.metadata()
		return received{header: header, trailer: trailer}
	case c.incoming != nil:
		return c.incoming.received
	default:
		return received{}
	}
}

// Peer returns the other end of the connection. On a client it is known after next, if
// the interceptor called [Call.CaptureMetadata] before next. It is nil if it is not
// known.
func (c *Call) Peer() *peer.Peer {
	if c.side == ServerSide {
		p, _ := peer.FromContext(c.ctx.Context)
		return p
	}
	if p := c.captured().peer; p.Addr != nil {
		return &p
	}
	return nil
}

// SetHeader adds to the response header of a call on a server. It returns an error if the
// header has been sent. For illegal keys or values, and on a client, the error is
// INTERNAL. Safe for concurrent use.
func (c *Call) SetHeader(md metadata.MD) error {
	if c.side == ClientSide {
		return errServerOnly("SetHeader")
	}
	if err := validate(md); err != nil {
		return err
	}
	return grpc.SetHeader(c.ctx.Context, md)
}

// SetTrailer adds to the trailer of a call on a server. It returns an error if the call
// is over. For illegal keys or values, and on a client, the error is INTERNAL. Safe for
// concurrent use.
func (c *Call) SetTrailer(md metadata.MD) error {
	if c.side == ClientSide {
		return errServerOnly("SetTrailer")
	}
	if err := validate(md); err != nil {
		return err
	}
	return grpc.SetTrailer(c.ctx.Context, md)
}

func errServerOnly(name string) error {
	return errInternal("Call.%s is for servers; a client's metadata travels in the context", name)
}

// Metadata returns the values of one key of the request metadata in ctx: on a server the
// metadata that arrived, on a client the metadata that will be sent. The key's case does
// not matter. The result is a copy.
func (c *Call) Metadata(ctx context.Context, key string) []string {
	if c.side == ServerSide {
		return metadata.ValueFromIncomingContext(ctx, key)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	return md.Get(key)
}

// Options returns the options of a call on a client: credentials, compression,
// wait-for-ready and so on. The slice must not be modified.
func (c *Call) Options() []grpc.CallOption { return c.opts }

// AddOptions adds options to a call on a client, for the inner interceptors and the
// transport. If two options conflict, the later one wins. On a server it does nothing.
func (c *Call) AddOptions(opts ...grpc.CallOption) {
	if c.side == ServerSide {
		return
	}
	c.draft()
	c.opts = append(slices.Clip(c.opts), opts...)
}

// Target returns the target of the client connection in grpc-go's canonical form, such as
// "dns:///shop:50051". It is empty on a server, and for connections that are not
// grpc-go's.
func (c *Call) Target() string {
	end, ok := c.end.(caller)
	if !ok {
		return ""
	}
	conn := c.leg.connection(end.conn())
	if conn == nil {
		return ""
	}
	return c.plan.chain.targetOf(conn)
}

// SetMethod sends a call on a client to another method of the same kind, for the inner
// interceptors and the transport. The types of the messages stay. It fails on a server,
// whose method is fixed before a chain runs, and for a name without the form
// "/package.Service/Method".
func (c *Call) SetMethod(full string) error {
	if c.side == ServerSide {
		return status.Error(codes.Internal, "hauberk: the method of a call cannot be changed on a server")
	}
	m, err := newMethod(full, c.kind, true)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	m.stated = c.plan.chain.policy[full]
	c.draft()
	c.method = m
	return nil
}
