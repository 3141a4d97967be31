package h2

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// The function of OnReady is called once, when there is something to receive, and not for a stream that ends first.
func TestOnReady(t *testing.T) {
	data := func(client *raw) error { return client.WriteData(1, false, []byte("x")) }
	end := func(client *raw) error { return client.WriteData(1, true, nil) }
	reset := func(client *raw) error { return client.WriteRSTStream(1, http2.ErrCodeCancel) }
	tests := []struct {
		name          string
		before, after []func(*raw) error // frames before and after OnReady
		closes        bool               // the stream, after OnReady
		want          int32              // calls
	}{
		{"nothing", nil, nil, false, 0},
		{"data", nil, []func(*raw) error{data, data, end}, false, 1},
		{"the end", nil, []func(*raw) error{end}, false, 1},
		{"data before", []func(*raw) error{data}, []func(*raw) error{data, end}, false, 1},
		{"the end before", []func(*raw) error{end}, nil, false, 1},
		{"a failure before", []func(*raw) error{reset}, nil, false, 1},
		{"a failure", nil, []func(*raw) error{reset}, false, 0},
		{"closed", nil, []func(*raw) error{data}, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				send := func(client *raw, frames []func(*raw) error) {
					for _, frame := range frames {
						if err := frame(client); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
					}
				}
				streams := make(chan *Stream, 1)
				client, _, served := startServer(t, Config{}, func(s *Stream) { streams <- s })
				go func() { _ = client.goAway() }()
				if err := client.open(1, false); err != nil {
					t.Fatal(err)
				}
				s := <-streams
				send(client, tt.before)
				var calls atomic.Int32
				s.OnReady(func() { calls.Add(1) })
				if tt.closes {
					s.Close()
				}
				send(client, tt.after)
				synctest.Wait()
				if got := calls.Load(); got != tt.want {
					t.Errorf("%d calls, want %d", got, tt.want)
				}
				s.Close()
				_ = client.conn.Close()
				if err := <-served; err == nil {
					t.Error("the connection ended without an error")
				}
			})
		})
	}
}
