package hauberk

import (
	"errors"
	"fmt"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// Live is a chain that can be replaced while calls run. It is attached as a [Chain] is, with the same methods:
//
//	live := hauberk.NewLive(chain)
//	srv := live.NewServer()
//	…
//	if err := live.Swap(next); err != nil {
//		log.Print(err) // the chain before is still in force
//	}
//
// A call keeps the chain that it began with until it ends, also a stream that stays open. A call that begins after
// Swap has returned runs the new chain. A call costs one atomic load more than with a Chain, and no allocation.
//
// Interceptors that are in both chains keep their state, such as quotas and circuits. A chain that was replaced is
// garbage once its calls have ended, and nothing else refers to it.
//
// What a program has attached remains as it is, in particular the options of grpc-go that it has passed, such as
// credentials and limits. All settings of [Config] change with the chain, with these exceptions:
//
//   - Config.CountBytes cannot become true if something was attached while it was false;
//   - Config.Drain is read when a step of [Server.Shutdown] begins.
//
// Two Lives, such as those of a server and its client, change one after the other. A handler may see the new
// chain of one and the old chain of the other.
//
// Live is safe for concurrent use. The zero value is not usable: make one with [NewLive]. docs/adr/0028 has the
// reasons.
type Live struct {
	at *attachments
}

// NewLive returns a Live with a first chain. It panics if the chain is nil or zero: pass the result of [New] to [Must]
// first. The chain itself may be attached too. It is then a separate chain, with a separate count of running calls.
func NewLive(chain *Chain) *Live {
	chain.check("NewLive")
	a := newAttachments("Live")
	a.current.Store(chain.bind(a))
	return &Live{at: a}
}

// Chain returns the current chain, as [NewLive] or [Live.Swap] was given it.
func (l *Live) Chain() *Chain { return l.attaching("Chain").current.Load().origin }

// Swap replaces the chain. If [Live.Check] returns an error, Swap returns it and changes nothing.
func (l *Live) Swap(chain *Chain) error { return l.attaching("Swap").swap(chain) }

// Check returns an error that lists why a chain cannot replace the current one:
//
//   - it is nil, or was not made by [New];
//   - it has an interceptor that does not work on a side that the Live is attached to;
//   - a method that is registered would be neither authenticated nor public, or has a setting that does not fit it;
//   - a pattern matches no method of a server that serves: what [Server.Coverage] reports for it;
//   - it counts bytes, and the chain before did not when it was attached.
//
// [New] has reported everything else, such as state that is read before it is written. Methods that are registered
// without the Live, directly with a *grpc.Server, are not known here. Their calls end with INTERNAL if they are
// not authenticated.
func (l *Live) Check(chain *Chain) error {
	a := l.attaching("Check")
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.fits(chain)
}

// Measurements returns the measurements of the current chain, and the calls that run on the servers of the Live,
// including those that run with a chain before. See [Chain.Measurements].
func (l *Live) Measurements() iter.Seq2[string, Measurement] {
	return l.attaching("Measurements").current.Load().Measurements()
}

// NewServer is [Chain.NewServer] for the Live. Serve checks the coverage of the current chain.
func (l *Live) NewServer(opts ...grpc.ServerOption) *Server {
	return l.attaching("NewServer").newServer(opts)
}

// ServerOptions is [Chain.ServerOptions] for the Live.
func (l *Live) ServerOptions(opts ...grpc.ServerOption) []grpc.ServerOption {
	return l.attaching("ServerOptions").newServerOptions(opts)
}

// Registrar is [Chain.Registrar] for the Live.
func (l *Live) Registrar(srv grpc.ServiceRegistrar) *Registrar {
	return l.attaching("Registrar").registrar(srv)
}

// UnaryServerInterceptor is [Chain.UnaryServerInterceptor] for the Live.
func (l *Live) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	return l.attaching("UnaryServerInterceptor").newUnaryServerInterceptor()
}

// StreamServerInterceptor is [Chain.StreamServerInterceptor] for the Live.
func (l *Live) StreamServerInterceptor() grpc.StreamServerInterceptor {
	return l.attaching("StreamServerInterceptor").newStreamServerInterceptor()
}

// DialOptions is [Chain.DialOptions] for the Live.
func (l *Live) DialOptions(opts ...grpc.DialOption) []grpc.DialOption {
	return l.attaching("DialOptions").dialOptions(opts)
}

// ClientConn is [Chain.ClientConn] for the Live.
func (l *Live) ClientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
	return l.attaching("ClientConn").clientConn(conn)
}

// UnaryClientInterceptor is [Chain.UnaryClientInterceptor] for the Live.
func (l *Live) UnaryClientInterceptor() grpc.UnaryClientInterceptor {
	return l.attaching("UnaryClientInterceptor").unaryClientInterceptor("UnaryClientInterceptor")
}

// StreamClientInterceptor is [Chain.StreamClientInterceptor] for the Live.
func (l *Live) StreamClientInterceptor() grpc.StreamClientInterceptor {
	return l.attaching("StreamClientInterceptor").streamClientInterceptor("StreamClientInterceptor")
}

// StatsHandler is [Chain.StatsHandler] for the Live. It is nil if the current chain counts no bytes.
func (l *Live) StatsHandler(side Side) stats.Handler {
	return l.attaching("StatsHandler").statsHandler(side)
}

// attaching returns the attachments of a Live that is not nil, for a method.
func (l *Live) attaching(what string) *attachments {
	if l == nil || l.at == nil {
		panic("hauberk: " + what + " of a nil or zero Live; make one with hauberk.NewLive")
	}
	return l.at
}

// swap puts a chain into force, if it fits.
func (a *attachments) swap(next *Chain) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.fits(next); err != nil {
		return err
	}
	c := next.bind(a)
	if a.attached[ServerSide] || a.attached[ClientSide] {
		c.warned.Do(c.warn)
	}
	a.current.Store(c)
	a.forget()
	for _, s := range a.servers() {
		s.drain.set(c.drain)
	}
	return nil
}

// fits returns why a chain cannot replace the current one. changing is locked.
func (a *attachments) fits(next *Chain) error {
	if next == nil || next.plans == nil {
		return errors.New("hauberk: the chain of a Live is nil or zero; " +
			"make chains with hauberk.New, and look at its error")
	}
	var errs []error
	for _, side := range []Side{ServerSide, ClientSide} {
		if wrong := next.wrongSide(side); a.attached[side] && wrong != "" {
			errs = append(errs, fmt.Errorf("hauberk: %s", wrong))
		}
	}
	if next.countBytes && a.uncounted {
		errs = append(errs, errors.New("hauberk: Config.CountBytes is true, and was false "+
			"when the chain was attached: set it when the program starts"))
	}
	return errors.Join(append(errs, a.coverage(next))...)
}

// coverage returns what the coverage of the methods of a server reports about a chain.
func (a *attachments) coverage(c *Chain) error {
	var errs []error
	for _, s := range a.servers() {
		if s.serving {
			errs = append(errs, s.coverage(c).Err())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	cov := c.Coverage(a.services())
	cov.Unmatched = nil // the methods may be those of several servers, and not all of them
	return cov.Err()
}

// services returns what was registered.
func (a *attachments) services() map[string]grpc.ServiceInfo {
	all := make(map[string]grpc.ServiceInfo)
	a.registered.Range(func(key, value any) bool {
		full, ok := key.(string)
		if !ok {
			return true
		}
		m, kind := bestMethod(full, Unary), value.(*registeredMethod).kind
		info := all[m.service]
		info.Methods = append(info.Methods, grpc.MethodInfo{
			Name: m.name, IsClientStream: kind.ClientStreams(), IsServerStream: kind.ServerStreams(),
		})
		all[m.service] = info
		return true
	})
	return all
}
