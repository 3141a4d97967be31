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

// Config configures an [Interceptor]. The zero value modifies nothing.
type Config struct {
	// Metadata modifies the request metadata: on a client what is sent, on a server what
	// inner interceptors and the handler receive.
	Metadata Metadata
	// Header and Trailer are added to those of the response on a server, before what
	// inner interceptors and the handler add. Values of keys that end in "-bin" are raw
	// bytes.
	//
	// A call with a Header that fails sends a response header before its status, so that it is
	// not Trailers-Only: clients that follow gRFC A6 do not retry it. Set what such a call does
	// not need in its header with Trailer.
	Header, Trailer metadata.MD

	// Timeout replaces the caller's deadline on a client, whether it is earlier or later. The
	// caller can cancel the call until the deadline of its context has passed: a context
	// does not report a cancellation after that. The default 0 keeps the deadline.
	Timeout time.Duration
	// NoTimeout removes the caller's deadline on a client: inner interceptors and the
	// server receive none. As with Timeout, the caller can cancel the call until the
	// deadline of its context has passed. After that
	//   - a unary call ends when the server ends it;
	//   - a stream lasts as long as the caller uses it. It ends with DEADLINE_EXCEEDED
	//     when the caller has not used it for the time that its deadline allowed, or for
	//     100 ms if that is longer: the caller waits in no operation of the stream, and no
	//     message was sent or received. An abandoned stream therefore ends, although a
	//     late call of the context's cancel function is not visible.
	NoTimeout bool
	// DefaultTimeout is the timeout of calls without a deadline. The default 0 is none.
	DefaultTimeout time.Duration
	// MaxTimeout is the longest timeout of a call. It replaces later deadlines, and is the
	// timeout of calls without a deadline. The default 0 is no bound.
	//
	// On a server DefaultTimeout and MaxTimeout end the context of the handler, and no more: a
	// handler that waits in Recv or Send of its stream, or does not look at its context,
	// runs on until the caller's own deadline, or until the caller cancels. Only a
	// handler that returns ends the call.
	MaxTimeout time.Duration

	// WaitForReady sets grpc.WaitForReady for calls on a client: they wait for a
	// connection (true), or fail at once without one (false). nil keeps the caller's
	// option.
	WaitForReady *bool
	// Compressor is the name of the compressor of messages that this side sends: on a
	// client requests, on a server responses to clients that accept it. It must be
	// registered; importing google.golang.org/grpc/encoding/gzip registers "gzip".
	// "identity" turns compression off. The default "" does not change it.
	Compressor string
	// Method replaces the method of calls on a client: "/package.Service/Method". It must
	// be of the same kind. The types of the messages do not change.
	Method string

	// Statuses replace the final status, at most one for each code.
	Statuses []Status
}

// Metadata modifies metadata, in the order of the fields. Keys are case-insensitive.
// Values of keys that end in "-bin" are raw bytes. hauberk.New reports keys that are
// reserved for gRPC and HTTP/2.
type Metadata struct {
	// Rename appends the values of keys (the map's keys) to those of other keys (the
	// map's values). All values are removed before any is appended, so that two keys can
	// be swapped.
	Rename map[string]string
	// Remove are keys whose values are removed.
	Remove []string
	// Set replaces the values of keys.
	Set metadata.MD
	// Add appends values to those of keys.
	Add metadata.MD
}

// Status replaces the status of calls that end with a code. In process errors.Is and
// errors.As find the replaced error.
type Status struct {
	// From is the replaced code and To the new one. Neither is OK.
	From, To codes.Code
	// Message is the new message.
	Message string
	// KeepMessage keeps the message of the replaced status. By default it is dropped,
	// since it may reveal what the new code hides.
	KeepMessage bool
	// KeepDetails keeps the details of the replaced status. By default they are dropped.
	KeepDetails bool
}

// check returns the errors of the values, except those of metadata and statuses.
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
		return fmt.Errorf("%s is %v; want more than 0, or 0 to keep deadlines", name, d)
	}
	return nil
}

func (c *Config) checkTimeouts() error {
	var errs []error
	longest := max(c.Timeout, c.DefaultTimeout)
	if c.NoTimeout && max(longest, c.MaxTimeout) > 0 {
		errs = append(errs, errors.New("Config.NoTimeout and a timeout are set; want one of them"))
	}
	if c.Timeout > 0 && c.DefaultTimeout > 0 {
		errs = append(errs, errors.New(
			"Config.Timeout and DefaultTimeout are set, and the second has no effect; want one of them"))
	}
	if c.MaxTimeout > 0 && longest > c.MaxTimeout {
		errs = append(errs, fmt.Errorf(
			"Config.MaxTimeout is %v, below the timeout of %v; want at least that", c.MaxTimeout, longest))
	}
	return errors.Join(errs...)
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
