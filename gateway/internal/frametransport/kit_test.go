package frametransport

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// raw is a peer that writes any frames.
type raw struct {
	*http2.Framer

	conn net.Conn
	mu   sync.Mutex // guards writing
	enc  *hpack.Encoder
	out  bytes.Buffer
}

func newRaw(conn net.Conn) *raw {
	r := &raw{Framer: http2.NewFramer(conn, conn), conn: conn}
	r.enc = hpack.NewEncoder(&r.out)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.MaxHeaderListSize = 1 << 20
	return r
}

// headers sends a header list of names and values, if necessary with CONTINUATION.
func (r *raw) headers(id uint32, end bool, pairs ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = r.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	block := r.out.Bytes()
	part := block[:min(len(block), 1<<14)]
	block = block[len(part):]
	err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part = block[:min(len(block), 1<<14)]
		block = block[len(part):]
		err = r.WriteContinuation(id, len(block) == 0, part)
	}
	return err
}

// request is a header list of a request; more is added.
func request(more ...string) []string {
	return append([]string{
		":method", "POST", ":scheme", "http", ":path", "/shop.v1.Shop/Buy", ":authority", "shop",
		"content-type", "application/grpc", "te", "trailers",
	}, more...)
}

// proxy is a gateway without a chain: a server whose handler forwards to an upstream.
type proxy struct {
	up    *Upstream
	pumps *sync.WaitGroup // the goroutines that forward requests
}

func (r proxy) handle(in transport.Inbound) transport.Status {
	req := in.Request()
	req.Metadata, _ = metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(in.Context())
	defer cancel()
	out, err := r.up.Open(ctx, req)
	if err != nil {
		return statusOfError(ctx, err)
	}
	defer out.Close()
	r.pumps.Go(func() {
		for {
			var msg transport.Message
			if err := in.Recv(&msg); err != nil {
				_ = out.CloseSend()
				return
			}
			if out.Send(&msg) != nil {
				return
			}
		}
	})
	if md := out.Header(); md != nil {
		raw := out.Raw()
		raw.Header = nil // it is in md
		in.SetRaw(raw)
		_ = in.SendHeader(md)
	}
	var msg transport.Message
	for out.Recv(&msg) == nil {
		if err := in.Send(&msg); err != nil {
			return statusOfError(ctx, err)
		}
	}
	st, trailer := out.End()
	in.SetTrailer(trailer)
	return st
}

// network has the listeners of a proxy and of its upstream.
type network struct {
	front, back *bufconn.Listener
	server      *Server
	up          *Upstream
	served      sync.WaitGroup
}

func startNetwork(t *testing.T, config Config, change func(n *network)) *network {
	t.Helper()
	n := &network{front: bufconn.Listen(1 << 16), back: bufconn.Listen(1 << 16)}
	if config.MessageSize == 0 {
		config.MessageSize = 32 << 20
	}
	var err error
	n.up, err = NewUpstream("passthrough:///backend", config, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return n.back.DialContext(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	n.server = NewServer(config, proxy{n.up, &n.served}.handle)
	change(n)
	n.served.Go(func() { _ = n.server.Serve(n.front) })
	return n
}

// way is how calls are forwarded.
type way string

const (
	handled  way = "handled"  // by the handler
	directly way = "directly" // by relays
)

// eachWay runs a test in bubbles with both ways to forward calls.
func eachWay(t *testing.T, test func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range []way{handled, directly} {
		t.Run(string(w), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, w) })
		})
	}
}

// start starts a network. A time for the first byte needs the handler.
func (w way) start(t *testing.T, config Config) *network {
	t.Helper()
	return startNetwork(t, config, func(n *network) {
		if w == directly && config.FirstByte == 0 {
			n.server.handle = func(in transport.Inbound) transport.Status {
				t.Errorf("the handler runs for %s", in.Request().Method)
				return transport.Status{}
			}
			n.server.ForwardTo(n.up, everything{})
		}
	})
}

// everything is a transport.Direct for all calls.
type everything struct{}

func (everything) Accepts(string) bool            { return true }
func (everything) Answered(string)                {}
func (everything) Ended(string, transport.Status) {}

func (everything) RequestFields(fields []hpack.HeaderField) []hpack.HeaderField {
	return slices.DeleteFunc(fields, func(f hpack.HeaderField) bool {
		return own(f.Name) || strings.HasPrefix(f.Name, "grpc-") ||
			slices.Contains([]string{"content-type", "user-agent", "host"}, f.Name)
	})
}

func (everything) ResponseFields(fields []hpack.HeaderField) []hpack.HeaderField { return fields }

func (everything) Unopened(ctx context.Context, err error) transport.Status {
	return statusOfError(ctx, err)
}

func (n *network) stop() {
	n.server.Close()
	_ = n.up.Close()
	_ = n.back.Close()
	n.served.Wait()
}

// client connects a raw client.
func (n *network) client(t *testing.T) *raw {
	t.Helper()
	conn, err := n.front.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(conn)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

// upstream accepts the gateway's connections and calls answer for each of their frames.
func (n *network) upstream(answer func(r *raw, f http2.Frame)) {
	n.served.Go(func() {
		for {
			conn, err := n.back.Accept()
			if err != nil {
				return
			}
			n.served.Go(func() { serveRaw(conn, answer) })
		}
	})
}

func serveRaw(conn net.Conn, answer func(r *raw, f http2.Frame), settings ...http2.Setting) {
	defer conn.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := conn.Read(preface); err != nil {
		return
	}
	r := newRaw(conn)
	if r.WriteSettings(settings...) != nil {
		return
	}
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return
		}
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = r.WriteSettingsAck()
		}
		answer(r, f)
	}
}

// result is what a raw client receives of a call.
type result struct {
	http    string
	fields  map[string]string // of header and trailer
	data    []byte
	reset   http2.ErrCode
	isReset bool
}

// await reads until a stream has ended.
func (r *raw) await(id uint32) result {
	res := result{fields: make(map[string]string)}
	for {
		f, err := r.ReadFrame()
		if err != nil {
			res.http = err.Error()
			return res
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				if field.Name == ":status" {
					res.http = field.Value
				} else {
					res.fields[field.Name] = field.Value
				}
			}
			if f.StreamEnded() {
				return res
			}
		case *http2.DataFrame:
			res.data = append(res.data, f.Data()...)
		case *http2.RSTStreamFrame:
			res.reset, res.isReset = f.ErrCode, true
			return res
		}
	}
}
