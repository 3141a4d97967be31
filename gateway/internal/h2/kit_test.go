package h2

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/test/bufconn"
)

// pipe returns the two ends of a connection in memory, which has a buffer as TCP does.
func pipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	defer lis.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := lis.Accept()
		accepted <- conn
	}()
	client, err := lis.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

// raw is a peer that writes any frames.
type raw struct {
	*http2.Framer

	conn net.Conn
	enc  *hpack.Encoder
	out  bytes.Buffer
}

func newRaw(conn net.Conn) *raw {
	r := &raw{Framer: http2.NewFramer(conn, conn), conn: conn}
	r.enc = hpack.NewEncoder(&r.out)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

// block encodes a header list of names and values.
func (r *raw) block(pairs ...string) []byte {
	r.out.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = r.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(r.out.Bytes())
}

// request is a header list of a request.
var request = []string{":method", "POST", ":scheme", "http", ":path", "/s/m", ":authority", "a"}

// open sends HEADERS.
func (r *raw) open(id uint32, end bool) error {
	return r.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: r.block(request...), EndStream: end, EndHeaders: true,
	})
}

// startServer serves a raw client. The handler runs on a goroutine for each stream.
func startServer(t testing.TB, config Config, handler func(*Stream)) (client *raw, conn *Conn, served chan error) {
	t.Helper()
	near, far := pipe(t)
	client, served = newRaw(near), make(chan error, 1)
	conn = NewServer(far, config, func(s *Stream) { go handler(s) })
	go func() { served <- conn.Serve() }()
	if _, err := near.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := client.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return client, conn, served
}

// goAway reads until the connection ends. It returns the code of the last GOAWAY.
func (r *raw) goAway() http2.ErrCode {
	code := http2.ErrCode(0xff)
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return code
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			code = f.ErrCode
		}
	}
}
