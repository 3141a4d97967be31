package requestid_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// tap records the bytes of a client's connection.
type tap struct {
	credentials.TransportCredentials

	mu      sync.Mutex
	in, out bytes.Buffer
}

func newTap() *tap { return &tap{TransportCredentials: insecure.NewCredentials()} }

func (p *tap) Clone() credentials.TransportCredentials { return p }

func (p *tap) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := p.TransportCredentials.ClientHandshake(ctx, authority, conn)
	return &tapped{conn, p}, info, err
}

type tapped struct {
	net.Conn

	tap *tap
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.in.Write(b[:n])
	return n, err
}

func (c *tapped) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.out.Write(b)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}

// frames returns the frames of the first stream, by what they hold of an id: HEADERS,
// "HEADERS id", DATA, with "END" for the last one.
func frames(recorded []byte) (list []string) {
	recorded = bytes.TrimPrefix(recorded, []byte(http2.ClientPreface))
	framer := http2.NewFramer(nil, bytes.NewReader(recorded))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return list
		}
		if frame.Header().StreamID != 1 {
			continue
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			text := "HEADERS"
			for _, field := range f.RegularFields() {
				if field.Name == header {
					text += " " + field.Value
				}
			}
			if f.StreamEnded() {
				text += " END"
			}
			list = append(list, text)
		case *http2.DataFrame:
			list = append(list, "DATA")
		}
	}
}

// The frames of a call, as the transport carries them: a call that fails before its
// header is a single HEADERS frame in response. The id is in one frame only.
func TestFrames(t *testing.T) {
	fail := func(context.Context, hauberktest.Stream) error { return status.Error(codes.NotFound, "none") }
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.PermissionDenied, "NO", "no")
	})
	lost := func(_ context.Context, s hauberktest.Stream) error {
		return errors.Join(s.Send(&testpb.Response{}), status.Error(codes.DataLoss, "lost"))
	}
	for _, test := range []struct {
		name    string
		config  requestid.Config
		handle  func(context.Context, hauberktest.Stream) error
		inner   hauberk.Interceptor
		streams bool // only for kinds in which a message is sent before the end
		want    []string
	}{
		{name: "success", want: []string{"HEADERS mine", "DATA", "HEADERS END"}},
		{name: "failed by the handler", handle: fail, want: []string{"HEADERS mine END"}},
		{name: "rejected by an inner interceptor", inner: reject, want: []string{"HEADERS mine END"}},
		{name: "failed after a message", handle: lost, streams: true, want: []string{"HEADERS mine", "DATA", "HEADERS END"}},
		{
			name: "failed, id in the header", config: requestid.Config{EchoErrorsInHeader: true}, handle: fail,
			want: []string{"HEADERS mine", "HEADERS END"},
		},
		{name: "failed, no echo", config: requestid.Config{NoEcho: true}, handle: fail, want: []string{"HEADERS END"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if test.streams && !c.Kind.ServerStreams() || test.inner != nil && c.Side == hauberk.ClientSide {
					return
				}
				interceptors := []hauberk.Interceptor{requestid.New(test.config)}
				if test.inner != nil {
					interceptors = append(interceptors, test.inner)
				}
				chain, recorder := hauberk.Must(hauberk.New(interceptors...)), newTap()
				setup := hauberktest.Setup{
					Kind: c.Kind, Backend: &hauberktest.Backend{Handle: test.handle},
					DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(recorder)},
				}
				want := test.want
				if c.Side == hauberk.ServerSide {
					setup.Server = chain
				} else {
					setup.Client, want = chain, withoutEcho(want)
				}
				env := hauberktest.Start(t, setup)
				env.Call(metadata.AppendToOutgoingContext(t.Context(), header, "mine"))
				env.Server.GracefulStop()
				recorder.check(t, want)
			})
		})
	}
}

// withoutEcho returns the frames of a server that does not send the id back: a HEADERS
// frame before the end that only carries the id is not there.
func withoutEcho(frames []string) (list []string) {
	for _, f := range frames {
		list = append(list, strings.Replace(f, " mine", "", 1))
	}
	if slices.Equal(list, []string{"HEADERS", "HEADERS END"}) {
		return list[1:]
	}
	return list
}

func (p *tap) check(t *testing.T, want []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := frames(p.in.Bytes()); !slices.Equal(slices.Compact(got), want) {
		t.Errorf("the response has the frames %q, want %q", got, want)
	}
	if got := frames(p.out.Bytes()); got[0] != "HEADERS mine" {
		t.Errorf("the request has the frames %q", got)
	}
}
