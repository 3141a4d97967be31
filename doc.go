// Package hauberk gives gRPC one interceptor model for every kind of call, on servers and
// clients.
//
// There are five types to know:
//
//   - [Interceptor] runs around one call. The same body serves unary, client-streaming,
//     server-streaming and bidirectional calls, on both sides. [Func] turns a function into
//     an Interceptor.
//   - [Call] is the call: its method, peer, metadata, messages and state.
//   - [Next] runs the inner interceptors and the call itself. It returns once, when the call
//     has ended, with its outcome.
//   - [Chain] is a checked list of interceptors, outermost first. [New] makes it, [Config]
//     holds its settings.
//   - [Rejection] is the error of an interceptor that rejects a call.
//
// An interceptor that limits calls:
//
//	func (l *Limiter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
//		if !l.allow(call) {
//			return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY_CALLS", "try again later")
//		}
//		return next(ctx, call)
//	}
//
// A server and a client with chains:
//
//	chain, err := hauberk.New(logging.New(logging.Config{}), limiter)
//	srv := chain.NewServer()
//	pb.RegisterCartServer(srv, cart)
//
//	conn, err := grpc.NewClient(target, chain.DialOptions(grpc.WithTransportCredentials(creds))...)
//
// # Streams
//
// The chain of a server runs before the request is read. next returns when the handler has
// returned. On a client, next of a stream returns when the call has ended: the application has
// read the end, the context is done, or the connection is lost. [Call.OnSend] and
// [Call.OnReceive] register hooks, before next, that see each message and may change, drop or
// multiply it. [Call.Reply] answers a call in place of next. docs/streams.md has the rules.
//
// # State
//
// A [Key] stores a typed value in a call. Outer interceptors read it after next, handlers read
// it from their context:
//
//	var User = hauberk.NewKey[string]("user")
//
//	User.Set(call, "alice")              // in an interceptor
//	name := User.Or(ctx, "anonymous")    // in a handler
//
// An outgoing call has its own state and inherits none; see [Incoming].
//
// # Rejections
//
// [Reject] makes an error with a status code, a reason for programs and a message for people.
// [Reason] reads the reason on both sides of the connection. An error without a status becomes
// UNKNOWN and its text stays in the process, unless [Config.ExposeErrors] is set. [Shadow] runs
// an interceptor without enforcing its rejections. [Call.Decisions] lists what was decided.
//
// # Attempts
//
// On a client an interceptor may call next again, as retries do, until the application has
// received something. [Call.Attempt] makes copies for concurrent attempts, as hedging does.
// [Call.Replayable] keeps the requests of a stream for further attempts.
//
// # Attaching a chain
//
//	chain.NewServer(opts…)                            a grpc-go server
//	chain.ServerOptions(opts…), chain.Registrar(srv)  a server of any wiring, xDS, ServeHTTP
//	chain.DialOptions(opts…)                          a grpc-go connection
//	chain.ClientConn(conn)                            an existing connection
//	FromServer, FromClient                            interceptors of grpc-go in a chain
//	chain.UnaryServerInterceptor() and three more     a chain as interceptors of grpc-go
//
// [Chain.Explain] returns what runs for a method and why. [Chain.Coverage] returns which
// methods are authenticated. [Chain.Lint] reports an unusual order.
package hauberk
