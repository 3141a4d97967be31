package attacks_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	_ "google.golang.org/grpc/encoding/gzip" // registers the compressor of the backend
)

// field is a header.
func field(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }

// request sends a request with exactly these headers and an empty message, and returns how it ends.
func (g *gate) request(t *testing.T, fields ...hpack.HeaderField) string {
	t.Helper()
	c := g.raw(t)
	defer c.conn.Close()
	c.header.Reset()
	for _, f := range fields {
		_ = c.enc.WriteField(f)
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.header.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	_ = c.framer.WriteData(1, true, emptyMessage)
	return c.outcome(t, 1)
}

// outcome returns how a call ends, with its HTTP status if that is not 200.
func (c *rawConn) outcome(t *testing.T, stream uint32) string {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			return "GOAWAY " + f.ErrCode.String()
		case *http2.RSTStreamFrame:
			return "reset " + f.ErrCode.String()
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				continue
			}
			if code := f.PseudoValue("status"); code != "" && code != "200" {
				return "HTTP " + code + " " + statusIn(f)
			}
			if status := statusIn(f); status != "" {
				return status
			}
		}
	}
}

// head is a header list of a call, without the fields that have one of the names.
func head(without ...string) (fields []hpack.HeaderField) {
	for _, f := range []hpack.HeaderField{
		field(":method", "POST"), field(":scheme", "http"), field(":path", attacked), field(":authority", "localhost"),
		field("content-type", "application/grpc"), field("te", "trailers"),
	} {
		if !strings.Contains(" "+strings.Join(without, " ")+" ", " "+f.Name+" ") {
			fields = append(fields, f)
		}
	}
	return fields
}

// wantRequests sends each request, and checks how it ends and whether the backend executes it.
func (g *gate) wantRequests(t *testing.T, tests map[string]requestTest) {
	t.Helper()
	executed := g.attack(t, func() {
		for name, tt := range tests {
			if how := g.request(t, tt.fields...); how != tt.want {
				t.Errorf("%s: %s, want %s", name, how, tt.want)
			}
		}
	})
	served := 0
	for _, tt := range tests {
		if tt.want == "0" {
			served++
		}
	}
	if len(executed) != served {
		t.Errorf("%d calls were executed, want %d", len(executed), served)
	}
}

type requestTest struct {
	fields []hpack.HeaderField
	want   string
}

// A request without :authority and host is rejected; with host, or with an empty one, it is served.
func TestP11NoAuthority(t *testing.T) {
	sidecar(t, "").wantRequests(t, map[string]requestTest{
		"none":       {head(":authority"), "HTTP 400 13"},
		"empty":      {append([]hpack.HeaderField{field(":authority", "")}, head(":authority")...), "0"},
		"host":       {append(head(":authority"), field("host", "shop")), "0"},
		"empty host": {append(head(":authority"), field("host", "")), "0"},
	})
}

// Conflicting authorities and the headers of HTTP/1 are rejected.
func TestP12ConflictingHeaders(t *testing.T) {
	sidecar(t, "").wantRequests(t, map[string]requestTest{
		"another host":      {append(head(), field("host", "other")), "HTTP 400 13"},
		"the same host":     {append(head(), field("host", "localhost")), "0"},
		"two hosts":         {append(head(":authority"), field("host", "a"), field("host", "a")), "HTTP 400 13"},
		"two authorities":   {append([]hpack.HeaderField{field(":authority", "other")}, head()...), "reset PROTOCOL_ERROR"},
		"connection":        {append(head(), field("connection", "close")), "reset PROTOCOL_ERROR"},
		"transfer-encoding": {append(head(), field("transfer-encoding", "chunked")), "reset PROTOCOL_ERROR"},
		"upgrade":           {append(head(), field("upgrade", "h2c")), "reset PROTOCOL_ERROR"},
	})
}

// Other methods of HTTP and content types are rejected. te may be missing.
func TestP13MethodAndContentType(t *testing.T) {
	sidecar(t, "").wantRequests(t, map[string]requestTest{
		"GET":             {append([]hpack.HeaderField{field(":method", "GET")}, head(":method")...), "HTTP 405 13"},
		"CONNECT":         {append([]hpack.HeaderField{field(":method", "CONNECT")}, head(":method")...), "HTTP 405 13"},
		"text":            {append(head("content-type"), field("content-type", "text/plain")), "HTTP 415 2"},
		"no content-type": {head("content-type"), "HTTP 415 2"},
		"a longer name":   {append(head("content-type"), field("content-type", "application/grpcx")), "HTTP 415 2"},
		"without te":      {head("te"), "0"},
	})
}

// Malformed timeouts are rejected; a timeout of zero starts no handler; huge ones are served.
func TestP14Timeouts(t *testing.T) {
	tests := map[string]requestTest{
		"zero": {append(head(), field("grpc-timeout", "0n")), "4"},
		"huge": {append(head(), field("grpc-timeout", "99999999H")), "0"},
		"two":  {append(head(), field("grpc-timeout", "1S"), field("grpc-timeout", "1S")), "HTTP 400 13"},
	}
	for _, bad := range []string{"", "1", "S", "-1S", "999999999S", "1x", "1 S", "0x1S", "1.5S", "+1S"} {
		tests[bad] = requestTest{append(head(), field("grpc-timeout", bad)), "HTTP 400 13"}
	}
	sidecar(t, "").wantRequests(t, tests)
}

// message is a gRPC message with any prefix.
func message(flag byte, length uint32, content []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, length), content...)
}

// Wrong lengths of messages end one call, and nothing is allocated for a declared length.
func TestP15LengthLies(t *testing.T) {
	g := sidecar(t, "")
	tests := map[string]struct {
		data []byte
		want []string
	}{
		"4 GiB":           {message(0, 1<<32-1, nil), []string{"8"}},
		"above the limit": {message(0, 17<<20, []byte("x")), []string{"8"}},
		"truncated":       {message(0, 100, []byte("x")), []string{"13", "1"}},
		"half a prefix":   {[]byte{0, 0}, []string{"13", "1"}},
		"trailing bytes":  {append(message(0, 0, nil), 1, 2, 3), []string{"13", "1", "12"}},
		"two messages":    {append(message(0, 0, nil), message(0, 0, nil)...), []string{"13", "12"}},
		"a wrong flag":    {message(2, 0, nil), []string{"13"}},
	}
	g.attack(t, func() {
		c := g.raw(t)
		for name, tt := range tests {
			for range 50 {
				stream, err := c.begin(attacked)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.framer.WriteData(stream, true, tt.data)
				if how := c.outcome(t, stream); !slices.Contains(tt.want, how) {
					t.Errorf("%s: %s, want one of %q", name, how, tt.want)
					break
				}
			}
		}
		c.wantAlive(t)
	})
}

// Compressed messages that are wrong, or bombs, are not decompressed by the sidecar. The backend
// rejects them.
func TestP16Compression(t *testing.T) {
	g := sidecar(t, "")
	var bomb bytes.Buffer
	w, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	for range 48 { // 48 MiB become about 48 KiB, which flow control permits
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	tests := map[string]struct {
		encoding string
		data     []byte
		want     []string
	}{
		"no encoding":      {"", message(1, 3, []byte("abc")), []string{"13"}},
		"unknown encoding": {"snappy", message(1, 3, []byte("abc")), []string{"12"}},
		"corrupt":          {"gzip", message(1, 3, []byte("abc")), []string{"13"}},
		"bomb":             {"gzip", message(1, uint32(bomb.Len()), bomb.Bytes()), []string{"8"}},
	}
	g.attack(t, func() {
		for name, tt := range tests {
			c := g.raw(t)
			var fields []hpack.HeaderField
			if tt.encoding != "" {
				fields = []hpack.HeaderField{field("grpc-encoding", tt.encoding)}
			}
			stream, err := c.begin(attacked, fields...)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for data := tt.data; len(data) > 0; {
					part := data[:min(len(data), 1<<14)]
					data = data[len(part):]
					if c.framer.WriteData(stream, len(data) == 0, part) != nil {
						return
					}
				}
			}()
			if how := c.outcome(t, stream); !slices.Contains(tt.want, how) {
				t.Errorf("%s: %s, want one of %q", name, how, tt.want)
			}
		}
	})
}

// Base64 that is wrong ends the call that has it. Others use the same connection to the upstream.
func TestP17BinaryMetadata(t *testing.T) {
	tests := map[string]requestTest{"good": {append(head(), field("x-bin", "AAECAw")), "0"}}
	for _, bad := range []string{"!", "A", "AAAA====A", "\u00e4", "AA,*", "AAAAA"} {
		tests[bad] = requestTest{append(head(), field("x-bin", bad)), "HTTP 400 13"}
	}
	sidecar(t, "").wantRequests(t, tests)
}

// Metadata that HTTP/2 does not allow resets the stream; the rest is dropped or kept unchanged.
func TestP19HostileMetadata(t *testing.T) {
	tests := map[string]requestTest{
		"spaces":      {append(head(), field("x-a", " a ")), "0"},
		"tab":         {append(head(), field("x-a", "a\tb")), "0"},
		"beyond":      {append(head(), field("x-a", "\xff\u00e4")), "0"},
		"upper case":  {append(head(), field("X-A", "a")), "reset PROTOCOL_ERROR"},
		"empty name":  {append(head(), field("", "a")), "reset PROTOCOL_ERROR"},
		"name spaces": {append(head(), field("x a", "a")), "reset PROTOCOL_ERROR"},
	}
	for _, bad := range []string{"a\x00b", "a\rb", "a\nb", "a\r\nx-admin: 1", "\x7f"} {
		tests[bad] = requestTest{append(head(), field("x-a", bad)), "reset PROTOCOL_ERROR"}
	}
	sidecar(t, "").wantRequests(t, tests)
}

// Other protocols on the port are closed in time, and write at most a line each.
func TestP20OtherProtocols(t *testing.T) {
	g := sidecar(t, "", "--handshake-timeout", "1s")
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(rand.New(rand.NewPCG(1, uint64(i))).Uint32())
	}
	executed := g.attack(t, func() {
		for name, data := range map[string][]byte{
			"HTTP/1.1": []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "random bytes": random,
			"half a preface": []byte(http2.ClientPreface[:12]), "nothing": nil,
		} {
			conn, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(data)
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			for err = nil; err == nil; {
				_, err = conn.Read(make([]byte, 512))
			}
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Errorf("%s: the connection stays open", name)
			}
			_ = conn.Close()
		}
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() == nil {
			t.Error("a handshake of TLS succeeded")
		}
	})
	if n := strings.Count(g.stdout.String(), "limit reached"); n > 1 || len(executed) > 0 {
		t.Errorf("%d log lines for 5 connections, %d calls", n, len(executed))
	}
	g.wantMet(t, "handshake_time")
}
