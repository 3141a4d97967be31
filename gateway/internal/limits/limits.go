// Package limits counts and logs the calls and connections that meet a limit of the gateway.
package limits

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Limit is one of the limits.
type Limit int

// The limits. None is the zero value.
const (
	None           Limit = iota
	Streams              // concurrent streams of a connection
	Headers              // the header list of a request
	ResponseHeader       // a header list of the upstream
	ClientHeader         // a response header list, by the limit that the client has announced
	MessageSize          // a message of either side
	Connections          // connections of clients
	Handshakes           // connections of clients that have not begun HTTP/2
	Descriptors          // file descriptors of the process
	Age                  // a connection's grace time after its greatest age
	Idle                 // time without calls on a connection
	Pings                // PING frames in a short time
	Settings             // SETTINGS frames in a short time
	Resets               // RST_STREAM frames in a short time
	EmptyFrames          // frames without effect in a short time
	Replies              // answers that the peer does not read
	Handshake            // the time of TLS and of the first frames
	Frame                // the time of a frame or a header block
	MessageTime          // the time of a message of a client
	FirstByte            // the time to the response header of the upstream
	Memory               // memory of the process
	count
)

var names = [count]string{ //nolint:gochecknoglobals // constant
	"", "concurrent_streams", "header_list", "upstream_header_list", "client_header_list", "message_size",
	"connections", "handshakes", "file_descriptors", "connection_age", "connection_idle", "pings", "settings", "resets",
	"empty_frames", "unread_replies", "handshake_time", "frame_time", "message_time", "first_byte_time", "memory",
}

// String returns the name in metrics and logs.
func (l Limit) String() string { return names[l] }

// Error is the error of a call that a limit has ended, with the status for the client.
type Error struct {
	Limit   Limit
	Code    codes.Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// GRPCStatus returns the status.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// Peer returns the address of the client of a call, or "".
func Peer(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// interval is the least time between two log records about the same limit.
const interval = time.Minute

// Recorder counts and logs. The zero value only counts, and nil does nothing. It is safe for concurrent use.
type Recorder struct {
	// Logger receives a record at most once a minute for each limit, unless it is nil.
	Logger *slog.Logger

	counts [count]atomic.Uint64

	records sync.WaitGroup // that are being written

	mu      sync.Mutex // guards the following
	last    [count]time.Time
	logged  [count]uint64 // the count at the last record
	writing [count]bool   // a record
}

// Count counts without a log record. Use it for limits that are no sign of trouble.
func (r *Recorder) Count(l Limit) {
	if r != nil && l != None {
		r.counts[l].Add(1)
	}
}

// Met counts and logs that a peer has met a limit. from is its address, or "". It does not wait for the logger, since
// the caller may have locks, or be what reads the connection that a logger sends to.
func (r *Recorder) Met(l Limit, from string) {
	if r == nil || l == None {
		return
	}
	n := r.counts[l].Add(1)
	if r.Logger == nil {
		return
	}
	if met, due := r.due(l, n); due {
		r.records.Go(func() {
			defer r.written(l)
			r.Logger.LogAttrs(context.Background(), slog.LevelWarn, "limit reached",
				slog.String("limit", l.String()), slog.String("peer", from), slog.Uint64("count", met))
		})
	}
}

func (r *Recorder) written(l Limit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing[l] = false
}

// Wait waits until all records are written. Call it when no limit can be met any more.
func (r *Recorder) Wait() {
	if r != nil {
		r.records.Wait()
	}
}

// MetBy is Met for the limit of an error, if the error is one of a limit.
func (r *Recorder) MetBy(err error, from string) {
	if limit, ok := errors.AsType[*Error](err); ok {
		r.Met(limit.Limit, from)
	}
}

// due reports whether it is time for a record, and how often the limit was met since the last.
func (r *Recorder) due(l Limit, n uint64) (met uint64, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if last := r.last[l]; !last.IsZero() && now.Sub(last) < interval || n <= r.logged[l] || r.writing[l] {
		return 0, false
	}
	met = n - r.logged[l]
	r.last[l], r.logged[l], r.writing[l] = now, n, true
	return met, true
}

// Counts yields how often each limit was met, by name.
func (r *Recorder) Counts(yield func(limit string, n uint64) bool) {
	for l := None + 1; l < count; l++ {
		if !yield(l.String(), r.counts[l].Load()) {
			return
		}
	}
}
