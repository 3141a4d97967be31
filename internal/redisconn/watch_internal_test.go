package redisconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch: a connection ends when its server has sent nothing for a while that requests wait, and the
// while is longer after a large request. A slow answer does not end it, and neither does silence without a request.
func TestWatch(t *testing.T) {
	const mebibyte = 1 << 20
	ping := []byte("*1\r\n$4\r\nPING\r\n")
	large := append([]byte("*1\r\n$3145728\r\n"), make([]byte, 3*mebibyte)...)
	large = append(large, "\r\n"...)
	for name, test := range map[string]struct {
		request []byte
		server  func(conn net.Conn)
		ends    time.Duration // 0: it does not
	}{
		"no request": {server: func(net.Conn) {}},
		"no answer":  {request: ping, server: func(net.Conn) {}, ends: patience},
		"an answer":  {request: ping, server: func(conn net.Conn) { write(conn, "+PONG\r\n") }},
		"a slow answer": {request: ping, server: func(conn net.Conn) {
			write(conn, "$100\r\n")
			for range 100 {
				<-time.After(time.Second)
				write(conn, "x")
			}
			write(conn, "\r\n")
		}},
		"an answer that stops": {request: ping, server: func(conn net.Conn) {
			write(conn, "$100\r\n")
			<-time.After(time.Second)
			write(conn, "x")
		}, ends: time.Second + patience},
		"a large request": {request: large, server: func(conn net.Conn) {
			<-time.After(patience + 2*time.Second)
			write(conn, "+OK\r\n")
		}},
		"a large request without an answer": {request: large, server: func(net.Conn) {}, ends: patience + 3*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				guarded := newGuard(client, 65*mebibyte)
				began := time.Now()
				ended := make(chan error, 1)
				go func() {
					_, err := io.Copy(io.Discard, guarded)
					ended <- err
				}()
				go func() { _, _ = io.Copy(io.Discard, server) }()
				go test.server(server)
				if _, err := io.Copy(guarded, bytes.NewReader(test.request)); err != nil {
					t.Fatal(err)
				}
				var err error
				select {
				case err = <-ended:
				case <-time.After(time.Hour):
				}
				took := time.Since(began).Round(time.Millisecond)
				switch {
				case test.ends == 0 && (err != nil || took < time.Hour):
					t.Errorf("it ended after %v with %v", took, err)
				case test.ends > 0 && (took.Truncate(100*time.Millisecond) != test.ends || !errors.Is(err, os.ErrDeadlineExceeded)):
					t.Errorf("it ended after %v with %v; want %v and os.ErrDeadlineExceeded", took, err, test.ends)
				}
				_, _ = guarded.Close(), server.Close()
			})
		})
	}
}

func write(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }
