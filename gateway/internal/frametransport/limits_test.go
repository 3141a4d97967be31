package frametransport

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// untilCancelled waits until the call is cancelled.
func untilCancelled(in transport.Inbound) transport.Status {
	<-in.Context().Done()
	return statusOfContext(in.Context().Err())
}

// echoFirst receives a message and returns the status of that.
func echoFirst(in transport.Inbound) transport.Status {
	var msg transport.Message
	err := in.Recv(&msg)
	if err == nil {
		err = msg.Load()
	}
	st, _ := status.FromError(err)
	return transport.Status{Code: st.Code(), Message: st.Message()}
}

// limited serves raw clients with limits, inside a bubble.
func limited(t *testing.T, config Config, handle transport.Handler, test func(t *testing.T, n *network, met func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec := new(limits.Recorder)
		config.Limits = rec
		if config.MessageSize == 0 {
			config.MessageSize = 1 << 20
		}
		n := &network{front: bufconn.Listen(1 << 16), back: bufconn.Listen(1)}
		n.server = NewServer(config, handle)
		n.served.Go(func() { _ = n.server.Serve(n.front) })
		test(t, n, func() string {
			var all []string
			for limit, count := range rec.Counts {
				for range count {
					all = append(all, limit)
				}
			}
			return strings.Join(all, " ")
		})
		n.server.Close()
		n.served.Wait()
	})
}

// ended reads until the connection ends and returns the last GOAWAY.
func (r *raw) ended() (code http2.ErrCode, text string) {
	code = 0xff
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return code, text
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			code, text = f.ErrCode, string(f.DebugData())
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = r.WritePing(true, f.Data)
			}
		}
	}
}

// Above the limit of connections, one without calls makes room, of which those that never had a
// call come first. If all have calls, the new one is rejected.
func TestConnections(t *testing.T) {
	limited(t, Config{Conns: 2}, untilCancelled, func(t *testing.T, n *network, met func() string) {
		busy, idle := n.client(t), n.client(t)
		if err := busy.headers(1, false, request()...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		other := n.client(t)
		if code, _ := idle.ended(); code != http2.ErrCodeNo {
			t.Errorf("the idle connection ended with %s", code)
		}
		if err := other.headers(1, false, request()...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		third, err := n.front.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code, text := newRaw(third).ended(); code != http2.ErrCodeEnhanceYourCalm || text != "too many connections" {
			t.Errorf("the third connection ended with %s %q", code, text)
		}
		_ = third.Close()
		if got := met(); got != strings.TrimSpace(strings.Repeat("connections ", 2)) {
			t.Errorf("the limits met are %q", got)
		}
		for _, r := range []*raw{busy, other} {
			_ = r.conn.Close()
		}
		_ = idle.conn.Close()
	})
}

// New connections are rejected while there is too little memory.
func TestConnectionsWithoutMemory(t *testing.T) {
	limited(t, Config{Full: func() bool { return true }}, untilCancelled, func(t *testing.T, n *network, met func() string) {
		conn, err := n.front.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code, text := newRaw(conn).ended(); code != http2.ErrCodeEnhanceYourCalm || !strings.Contains(text, "memory") {
			t.Errorf("the connection ended with %s %q", code, text)
		}
		_ = conn.Close()
		if got := met(); got != "memory" {
			t.Errorf("the limits met are %q", got)
		}
	})
}

// At its age, give or take a tenth, a connection gets GOAWAY. After the grace time its calls end
// with a status that says so, and then the connection ends.
func TestConnectionAge(t *testing.T) {
	limited(t, Config{Age: time.Hour, Grace: time.Minute, Clients: h2.Config{PingAfter: -1}}, untilCancelled, func(t *testing.T, n *network, met func() string) {
		start := time.Now()
		r := n.client(t)
		if err := r.headers(1, false, request()...); err != nil {
			t.Fatal(err)
		}
		var goAway time.Duration
		for goAway == 0 {
			f, err := r.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.PingFrame:
				_ = r.WritePing(true, f.Data)
			case *http2.GoAwayFrame:
				goAway = time.Since(start)
			}
		}
		if goAway < 54*time.Minute || goAway > 66*time.Minute {
			t.Errorf("GOAWAY after %v", goAway)
		}
		res := r.await(1)
		if res.fields["grpc-status"] != "14" || !strings.Contains(res.fields["grpc-message"], "greatest age") {
			t.Errorf("the call ended with %+v", res)
		}
		if grace := time.Since(start) - goAway; grace != time.Minute {
			t.Errorf("the call ended %v after GOAWAY", grace)
		}
		_, _ = r.ended()
		if got := met(); got != "connection_age" {
			t.Errorf("the limits met are %q", got)
		}
		_ = r.conn.Close()
	})
}

// A connection without calls gets GOAWAY after its idle time; one with calls does not.
func TestIdleConnections(t *testing.T) {
	limited(t, Config{Idle: time.Hour, Clients: h2.Config{PingAfter: -1}}, untilCancelled, func(t *testing.T, n *network, met func() string) {
		start := time.Now()
		busy, idle := n.client(t), n.client(t)
		if err := busy.headers(1, false, request()...); err != nil {
			t.Fatal(err)
		}
		if code, _ := idle.ended(); code != http2.ErrCodeNo || time.Since(start) > time.Hour+10*time.Second {
			t.Errorf("the idle connection ended after %v with %s", time.Since(start), code)
		}
		<-time.After(3 * time.Hour) // fake
		_ = busy.WriteRSTStream(1, http2.ErrCodeCancel)
		ended := time.Now()
		if code, _ := busy.ended(); code != http2.ErrCodeNo || time.Since(ended) < time.Hour || time.Since(ended) > 76*time.Minute {
			t.Errorf("the other connection ended %v after its call, with %s", time.Since(ended), code)
		}
		if got := met(); got != strings.TrimSpace(strings.Repeat("connection_idle ", 2)) {
			t.Errorf("the limits met are %q", got)
		}
		for _, r := range []*raw{busy, idle} {
			_ = r.conn.Close()
		}
	})
}

// A message that has begun must arrive at a least rate. Between messages there is no limit.
func TestSlowMessages(t *testing.T) {
	config := Config{MessageTime: 20 * time.Second, Clients: h2.Config{PingAfter: -1}}
	limited(t, config, echoFirst, func(t *testing.T, n *network, met func() string) {
		r := n.client(t)
		for i, late := range []bool{true, false} {
			id := uint32(2*i + 1)
			if err := r.headers(id, false, request()...); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour) // before the message
			size, per := 100_000, 10_000
			if late {
				size, per = 1000, 1
			}
			_ = r.WriteData(id, false, []byte{0, 0, byte(size >> 16), byte(size >> 8), byte(size)})
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for sent := 0; sent < size; sent += per {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Second):
					}
					_ = r.WriteData(id, sent+per == size, make([]byte, per))
				}
			}()
			res := r.await(id)
			close(stop)
			<-stopped
			if code := res.fields["grpc-status"]; (code == "4") != late || !late && code != "0" {
				t.Errorf("the call %d: %+v", id, res)
			}
		}
		if got := met(); got != "message_time" {
			t.Errorf("the limits met are %q", got)
		}
		_ = r.conn.Close()
	})
}

// What ends a connection or a call by a limit is counted under its name.
func TestLimitsAreCounted(t *testing.T) {
	tests := map[string]struct {
		config Config
		send   func(r *raw)
		code   http2.ErrCode
	}{
		"pings": {Config{Clients: h2.Config{MinPing: 5 * time.Second}}, func(r *raw) {
			for range 20 {
				_ = r.WritePing(false, [8]byte{})
				<-time.After(4 * time.Second)
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"settings": {Config{Clients: h2.Config{SettingsRate: 1}}, func(r *raw) {
			for range 20 {
				_ = r.WriteSettings()
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"empty_frames": {Config{Clients: h2.Config{EmptyRate: 1}}, func(r *raw) {
			for range 20 {
				_ = r.WriteRawFrame(0x77, 0, 0, nil)
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"resets": {Config{Clients: h2.Config{ResetRate: 1}}, func(r *raw) {
			for id := uint32(1); id < 40; id += 2 {
				_ = r.headers(id, false, request()...)
				_ = r.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"frame_time": {Config{}, func(r *raw) { _, _ = r.conn.Write([]byte{0, 0, 9, 1}); <-time.After(time.Minute) }, 0xff},
		"concurrent_streams": {Config{Clients: h2.Config{MaxStreams: 1}}, func(r *raw) {
			_ = r.headers(1, false, request()...)
			_ = r.headers(3, false, request()...)
			<-time.After(time.Second)
			_ = r.conn.Close()
		}, 0xff},
		"header_list": {Config{}, func(r *raw) {
			_ = r.headers(1, true, request("x-large", strings.Repeat("v", 100_000))...)
			<-time.After(time.Second)
			_ = r.conn.Close()
		}, 0xff},
		"message_size": {Config{}, func(r *raw) {
			_ = r.headers(1, false, request()...)
			_ = r.WriteData(1, true, []byte{0, 255, 255, 255, 255})
			<-time.After(time.Second)
			_ = r.conn.Close()
		}, 0xff},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			limited(t, tt.config, echoFirst, func(t *testing.T, n *network, met func() string) {
				r := n.client(t)
				go tt.send(r)
				if code, _ := r.ended(); code != tt.code && tt.code != 0xff {
					t.Errorf("GOAWAY with %s, want %s", code, tt.code)
				}
				synctest.Wait()
				if got := met(); got != name {
					t.Errorf("the limits met are %q", got)
				}
				_ = r.conn.Close()
				<-time.After(2 * time.Minute) // the sender ends
			})
		})
	}
}

// A client that pings at the least interval, or after frames of calls, is not disturbed.
func TestPatientPings(t *testing.T) {
	config := Config{Clients: h2.Config{MinPing: 5 * time.Second}}
	limited(t, config, echoFirst, func(t *testing.T, n *network, met func() string) {
		r := n.client(t)
		for i := range uint32(50) {
			_ = r.WritePing(false, [8]byte{})
			<-time.After(5 * time.Second)
			if i%10 > 0 {
				continue
			}
			for range 3 {
				_ = r.WritePing(false, [8]byte{})
			}
			if err := r.headers(2*i+1, true, request()...); err != nil {
				t.Fatal(err)
			}
			if res := r.await(2*i + 1); res.fields["grpc-status"] == "" {
				t.Fatalf("a call: %+v", res)
			}
		}
		if got := met(); got != "" {
			t.Errorf("the limits met are %q", got)
		}
		_ = r.conn.Close()
	})
}
