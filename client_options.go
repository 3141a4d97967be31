package hauberk

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// appOptions are the application's options that report the end of the call. They
// are taken out of the attempts and served once.
type appOptions struct {
	headers, trailers []*metadata.MD
	peers             []*peer.Peer
	onFinish          []func(error)
}

// takeOptions gives the call the application's options, and returns those to be
// served at its end, or nil.
func (c *Call) takeOptions(opts []grpc.CallOption) *appOptions {
	var app *appOptions
	for i, o := range opts {
		if !tellsEnd(o) {
			if app != nil {
				c.opts = append(c.opts, o)
			}
			continue
		}
		if app == nil {
			app = &appOptions{}
			c.opts = append(c.opts, opts[:i]...)
		}
		app.take(o)
	}
	if app == nil {
		c.opts = opts
	} else if len(app.headers)+len(app.trailers)+len(app.peers) > 0 {
		c.captures = true
	}
	return app
}

func tellsEnd(o grpc.CallOption) bool {
	switch o.(type) {
	case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
		return true
	default:
		return false
	}
}

func (a *appOptions) take(o grpc.CallOption) {
	switch o := o.(type) {
	case grpc.HeaderCallOption:
		a.headers = append(a.headers, o.HeaderAddr)
	case grpc.TrailerCallOption:
		a.trailers = append(a.trailers, o.TrailerAddr)
	case grpc.PeerCallOption:
		a.peers = append(a.peers, o.PeerAddr)
	case grpc.OnFinishCallOption:
		a.onFinish = append(a.onFinish, o.OnFinish)
	}
}

// serveGuarded serves the options, if there are any, and returns err, or what the
// chain's guard makes of a panic of the application's.
func (a *appOptions) serveGuarded(call *Call, err error) error {
	if a == nil {
		return err
	}
	if failure := call.guarded(func() error { a.serve(call, err); return nil }); failure != nil {
		return failure
	}
	return err
}

// serve reports the end of the call to the application's options. As grpc-go does, it assigns the
// header and the trailer, also if there is none, unless no stream was opened. They belong to the
// application.
func (a *appOptions) serve(call *Call, err error) {
	in := call.captured()
	if in.streamed() {
		for _, h := range a.headers {
			*h = in.own(in.header)
		}
		for _, t := range a.trailers {
			*t = in.own(in.trailer)
		}
	}
	for _, p := range a.peers {
		if in.peer.Addr != nil {
			*p = in.peer
		}
	}
	for _, f := range a.onFinish {
		f(err)
	}
}
