package transform

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
)

// Config says what is changed. The zero value changes nothing.
type Config struct {
	// Metadata are changes to the request metadata: on a client to what is sent, on a
	// server to what the inner interceptors and the handler find.
	Metadata Metadata
	// Header and Trailer are added to those of the response, on a server, ahead of
	// what inner interceptors and the handler add. Values under keys that end in "-bin"
	// are raw bytes.
	Header, Trailer metadata.MD

	// Timeout replaces the caller's deadline, on a client, whether that is sooner or
	// later. The caller can cancel the call until the deadline of its own context has
	// passed: a context does not show a cancellation after that.
	Timeout time.Duration
	// NoTimeout removes the caller's deadline, on a client: inner interceptors find
	// none, and none is sent to the server. As with Timeout, the caller can cancel the
	// call until the deadline of its own context has passed. From then on
	//   - a unary call ends when the server ends it;
	//   - a stream lasts as long as the caller uses it. It ends with DEADLINE_EXCEEDED
	//     when the caller has not used it for as long as its deadline had given it, or
	//     100 ms if that is more: it does not wait in an operation of the stream, and
	//     no message was sent or received meanwhile. So a stream that is given up does
	//     not stay, though a late call of the context's cancel function is not seen.
	NoTimeout bool
	// DefaultTimeout is for calls without a deadline.
	DefaultTimeout time.Duration
	// MaxTimeout is the most time that a call gets: deadlines that are later are moved,
	// and calls without one get it.
	MaxTimeout time.Duration

	// WaitForReady makes calls wait for a connection (true) or fail at once without
	// one (false), on a client. nil leaves it to the caller.
	WaitForReady *bool
	// Compressor is the name of the compressor for what this side sends: on a client
	// requests, on a server responses to clients that accept it. It must have been
	// registered, as importing google.golang.org/grpc/encoding/gzip does with "gzip".
	// "identity" turns compression off. Empty leaves it alone.
	Compressor string
	// Method is the method that calls are sent to, "/package.Service/Method", on a
	// client. It must be of their kind; the messages' types stay.
	Method string

	// Statuses are replacements of the status at the end, at most one for each code.
	Statuses []Status
}

// Metadata is changes to metadata. They are made in the order of the fields. The
// case of keys does not matter; values under keys that end in "-bin" are raw bytes.
// Keys that gRPC and HTTP/2 keep for themselves are rejected.
type Metadata struct {
	// Rename moves the values of keys (the map's keys) to other keys, behind the values
	// that are there. All are taken up before any is put down, so that two keys can
	// be swapped.
	Rename map[string]string
	// Remove are keys whose values are removed.
	Remove []string
	// Set replaces the values of keys.
	Set metadata.MD
	// Add adds values behind those that are there.
	Add metadata.MD
}

// Status replaces the status of calls that end with a code. In this process
// errors.Is and errors.As find the error that it replaces.
type Status struct {
	// From is the code that is replaced, and To the code in its place; neither is OK.
	From, To codes.Code
	// Message is the text in the place of the status's own.
	Message string
	// KeepMessage keeps the status's own text. By default it is dropped, since it may
	// say what the new code is meant to hide.
	KeepMessage bool
	// KeepDetails keeps the status's details. By default they are dropped.
	KeepDetails bool
}

// check returns what is wrong with the values, metadata and statuses aside.
func (c *Config) check() error {
	return errors.Join(
		notNegative("Config.Timeout", c.Timeout),
		notNegative("Config.DefaultTimeout", c.DefaultTimeout),
		notNegative("Config.MaxTimeout", c.MaxTimeout),
		c.checkTimeouts(),
		checkCompressor(c.Compressor),
		checkMethod(c.Method),
	)
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is %v; want more than 0, or 0 to leave deadlines alone", name, d)
	}
	return nil
}

func (c *Config) checkTimeouts() error {
	switch {
	case c.NoTimeout && c.Timeout+c.DefaultTimeout+c.MaxTimeout > 0:
		return errors.New("Config.NoTimeout is set beside a timeout; want one of them")
	case c.Timeout > 0 && c.DefaultTimeout > 0:
		return errors.New("Config.Timeout is set beside DefaultTimeout, which then has no effect; want one of them")
	case c.MaxTimeout > 0 && max(c.Timeout, c.DefaultTimeout) > c.MaxTimeout:
		return fmt.Errorf("Config.MaxTimeout is %v, below the timeout of %v; want at least that",
			c.MaxTimeout, max(c.Timeout, c.DefaultTimeout))
	default:
		return nil
	}
}

func checkCompressor(name string) error {
	if name == "" || name == encoding.Identity || encoding.GetCompressor(name) != nil {
		return nil
	}
	hint := ""
	if name == "gzip" {
		hint = "; import google.golang.org/grpc/encoding/gzip"
	}
	return fmt.Errorf("Config.Compressor is %q, which is not registered%s", name, hint)
}

func checkMethod(full string) error {
	if full == "" {
		return nil
	}
	service, method, ok := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	if !strings.HasPrefix(full, "/") || !ok || service == "" || method == "" || strings.Contains(method, "/") {
		return fmt.Errorf(`Config.Method is %q; want "/package.Service/Method"`, full)
	}
	return nil
}
