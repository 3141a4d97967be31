package h2

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// ErrClosed is the error of the streams of a connection that was closed with [Conn.Close].
var ErrClosed = errors.New("the connection was closed")

// ErrLost is the error of the streams of a connection that the peer closed, or that failed.
var ErrLost = errors.New("the connection was lost")

// ErrDraining is the error of [Conn.Open] if the connection accepts no streams any more.
var ErrDraining = errors.New("the connection is being closed")

// ErrFull is the error of [Conn.TryOpen] if the peer's limit of streams is reached.
var ErrFull = errors.New("the connection has as many streams as the peer permits")

// ErrUnprocessed is the error of streams that the peer has not processed: it has reset them
// with REFUSED_STREAM, or GOAWAY had a lower id.
var ErrUnprocessed = errors.New("the stream was not processed")

// ResetError is the error of a stream that one of the sides has reset.
type ResetError struct {
	Code   http2.ErrCode
	Remote bool // by the peer
}

func (e ResetError) Error() string {
	side := "here"
	if e.Remote {
		side = "by the peer"
	}
	return fmt.Sprintf("the stream was reset %s with %s", side, e.Code)
}

// Is reports whether the peer has not processed the stream.
func (e ResetError) Is(target error) bool {
	return target == ErrUnprocessed && e.Remote && e.Code == http2.ErrCodeRefusedStream
}

// connError is an error of the peer that ends the connection.
type connError struct {
	code  http2.ErrCode
	text  string
	limit limits.Limit // that the peer has exceeded, or None
}

func (e connError) Error() string { return fmt.Sprintf("%s: %s", e.code, e.text) }

func calm(limit limits.Limit, text string) error {
	return connError{http2.ErrCodeEnhanceYourCalm, text, limit}
}

func protocol(text string) error { return connError{code: http2.ErrCodeProtocol, text: text} }

func flowControl(text string) error { return connError{code: http2.ErrCodeFlowControl, text: text} }
