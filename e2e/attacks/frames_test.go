package attacks_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawConn is an HTTP/2 connection that sends frames of any content.
type rawConn struct {
	conn   net.Conn
	framer *http2.Framer
	header bytes.Buffer
	enc    *hpack.Encoder
	next   uint32 // the next stream
}

func dialRaw(t *testing.T, addr string) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newRaw(t, conn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newRaw begins HTTP/2 on a connection, which it closes at the end of the test.
func newRaw(t *testing.T, conn net.Conn) (*rawConn, error) {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	return rawOn(conn)
}

// rawOn begins HTTP/2 on a connection.
func rawOn(conn net.Conn) (*rawConn, error) {
	c := &rawConn{conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	c.enc = hpack.NewEncoder(&c.header)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	return c, errors.Join(c.framer.WriteSettings(), c.framer.WriteWindowUpdate(0, 1<<30))
}

// emptyMessage is a gRPC message of no bytes.
var emptyMessage = make([]byte, 5)

// send begins a call with a path, and sends one empty message. It returns the stream.
func (c *rawConn) send(path string, fields ...hpack.HeaderField) (uint32, error) {
	stream, err := c.begin(path, fields...)
	if err != nil {
		return 0, err
	}
	return stream, c.framer.WriteData(stream, true, emptyMessage)
}

// begin begins a call with a path, and sends no message. It returns the stream.
func (c *rawConn) begin(path string, fields ...hpack.HeaderField) (uint32, error) {
	c.header.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: path},
		{Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}, fields...) {
		if err := c.enc.WriteField(f); err != nil {
			return 0, err
		}
	}
	stream := c.next
	c.next += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.header.Bytes(), EndHeaders: true,
	})
}

// results reads until n calls have ended and returns their outcome by stream: the
// grpc-status, "reset" or "HTTP" and a status.
func (c *rawConn) results(n int) (map[uint32]string, error) {
	ended := make(map[uint32]string, n)
	for len(ended) < n {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return ended, err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			err = fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		case *http2.RSTStreamFrame:
			if _, ok := ended[f.StreamID]; !ok {
				ended[f.StreamID] = "reset"
			}
		case *http2.MetaHeadersFrame:
			if status := statusIn(f); status != "" {
				ended[f.StreamID] = status
			}
		}
		if err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// statusIn returns the status in headers, or "" if they are not the last.
func statusIn(f *http2.MetaHeadersFrame) string {
	var status, http string
	for _, field := range f.Fields {
		switch field.Name {
		case "grpc-status":
			status = field.Value
		case ":status":
			http = field.Value
		}
	}
	if status == "" && f.StreamEnded() {
		return "HTTP " + http
	}
	return status
}
