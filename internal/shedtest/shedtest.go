// Package shedtest runs an HTTP/2 server for tests of streams that a server sheds while grpc-go
// sends their messages again.
package shedtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Answer is how the server ends a stream that it does not read.
type Answer struct {
	Header   bool     // send the header in a frame before the trailer
	Messages [][]byte // the encoded responses; need Header
	Code     int      // of the status
}

// Server rejects its first stream with REFUSED_STREAM when it has received Size bytes of it, so that
// grpc-go retries it transparently. It ends the next Shed streams with Answer as soon as their flow-control windows
// are full, while grpc-go sends the messages again. It answers further streams with Response once
// the client has closed its side.
type Server struct {
	Size     int
	Shed     int
	Answer   Answer
	Response []byte // encoded

	streams atomic.Int32
}

const (
	window  = 64<<10 - 1 // of a stream, RFC 9113 section 6.9.2
	forever = 1 << 26
)

// Start serves on a socket until the test ends, and returns its address.
func (s *Server) Start(t testing.TB) (address string) {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = lis.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				(&connection{server: s, framer: http2.NewFramer(conn, conn), got: map[uint32]int{}}).serve(conn)
			})
		}
	})
	return lis.Addr().String()
}

// Streams returns how many streams were opened.
func (s *Server) Streams() int { return int(s.streams.Load()) }

type connection struct {
	server *Server
	framer *http2.Framer
	got    map[uint32]int // bytes of each stream
}

// serve ends when the client closes the connection.
func (c *connection) serve(conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	_ = c.framer.WriteSettings()
	_ = c.framer.WriteWindowUpdate(0, forever)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = c.framer.WritePing(true, frame.Data)
			}
		case *http2.HeadersFrame:
			c.server.streams.Add(1)
			if !c.sheds(frame.StreamID) {
				_ = c.framer.WriteWindowUpdate(frame.StreamID, forever)
			}
		case *http2.DataFrame:
			c.receive(frame)
		}
	}
}

// sheds reports whether a stream is one of those that are not read.
func (c *connection) sheds(id uint32) bool { return 1 < id && int(id/2) <= c.server.Shed }

func (c *connection) receive(frame *http2.DataFrame) {
	id := frame.StreamID
	before := c.got[id]
	now := before + len(frame.Data())
	c.got[id] = now
	reaches := func(size int) bool { return before < size && size <= now }
	switch {
	case id == 1:
		if reaches(c.server.Size) {
			_ = c.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
		}
	case c.sheds(id):
		if reaches(window) {
			c.answer(id, c.server.Answer)
			_ = c.framer.WriteRSTStream(id, http2.ErrCodeNo)
		}
	case frame.StreamEnded():
		c.answer(id, Answer{Header: true, Messages: [][]byte{c.server.Response}})
	}
}

func (c *connection) answer(id uint32, a Answer) {
	trailer := [][2]string{{"grpc-status", strconv.Itoa(a.Code)}, {"grpc-message", "shed"}}
	header := [][2]string{{":status", "200"}, {"content-type", "application/grpc"}}
	if !a.Header {
		c.headers(id, true, append(header, trailer...)...)
		return
	}
	c.headers(id, false, header...)
	for _, msg := range a.Messages {
		prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg)))
		_ = c.framer.WriteData(id, false, append(prefix, msg...))
	}
	c.headers(id, true, trailer...)
}

func (c *connection) headers(id uint32, end bool, fields ...[2]string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end,
	})
}
