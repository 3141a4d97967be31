package errs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
)

// The defaults of [Config].
const (
	DefaultMessage    = "internal error"
	DefaultMaxText    = 1024
	DefaultMaxDetails = 2048
)

// The limits of [Config]. Clients in many languages accept a header list of 8 KiB, which has the text
// twice.
const (
	minMaxText    = 16
	maxMaxText    = 4096
	maxMaxDetails = 64 << 10
	maxMessage    = 256
)

// DefaultMask returns the codes of statuses that are masked: UNKNOWN, INTERNAL and DATA_LOSS. The caller owns the
// result.
func DefaultMask() []codes.Code { return []codes.Code{codes.Unknown, codes.Internal, codes.DataLoss} }

// Remote is what a server does with the error of a call that it has made to another service, if its handler
// returns it.
type Remote uint8

// The values of Remote.
const (
	// Hide keeps the codes UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED, and turns all others into INTERNAL. The
	// text is fixed and has a reference. This is the default.
	Hide Remote = iota
	// Translate turns the errors that are in the server's own table into the server's, as if the handler had
	// made them. It hides all others.
	Translate
	// PassOn sends the status of the other service unchanged, with its text, domain and details.
	PassOn
)

// String returns the name of the value: "hide".
func (r Remote) String() string {
	switch r {
	case Hide:
		return "hide"
	case Translate:
		return "translate"
	case PassOn:
		return "pass on"
	default:
		return fmt.Sprintf("remote %d", uint8(r))
	}
}

// Config holds the settings of [New]. The zero value has the defaults. On a client it has no effect.
type Config struct {
	// Unmapped is the code of errors without an entry, a status or a context error. The default is UNKNOWN.
	Unmapped codes.Code
	// Mask are the codes of statuses of handlers whose text and details clients do not receive. nil is
	// DefaultMask; an empty slice is none. UNKNOWN includes the codes that gRPC does not define. Errors
	// without a status are always masked, rejections never.
	Mask []codes.Code
	// Message is the text of masked errors, in front of the reference, of at most 256 bytes. The default is
	// DefaultMessage.
	Message string
	// Remote is what happens to errors of calls to other services. The default is Hide.
	Remote Remote
	// MaxText is the greatest length of a text, in bytes, from 16 to 4096. Longer ones are cut at the border of a
	// character, and end with "…". The default is DefaultMaxText.
	MaxText int
	// MaxDetails is the greatest size of the details of an entry, in bytes of protobuf, up to 64 KiB. Larger
	// ones are left out. The default is DefaultMaxDetails: with it and DefaultMaxText, each status of an entry fits
	// into the header list of 8 KiB that clients in many languages accept, and lose the code of if it is larger.
	MaxDetails int
}

func (c Config) withDefaults() Config {
	c.Unmapped = cmp.Or(c.Unmapped, codes.Unknown)
	if c.Mask == nil {
		c.Mask = DefaultMask()
	}
	c.Mask = slices.Clone(c.Mask)
	c.Message = cmp.Or(c.Message, DefaultMessage)
	c.MaxText = cmp.Or(c.MaxText, DefaultMaxText)
	c.MaxDetails = cmp.Or(c.MaxDetails, DefaultMaxDetails)
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Unmapped > codes.Unauthenticated {
		fail("Unmapped is %v; want the code of an error, or 0 for UNKNOWN", c.Unmapped)
	}
	for _, code := range c.Mask {
		if code == codes.OK || code > codes.Unauthenticated {
			fail("Mask has %v; want codes of errors", code)
		}
	}
	if len(c.Message) > maxMessage || !utf8.ValidString(c.Message) {
		fail("Message is %.60q; want at most %d bytes of UTF-8", c.Message, maxMessage)
	}
	if c.Remote > PassOn {
		fail("Remote is %v; want Hide, Translate or PassOn", c.Remote)
	}
	if c.MaxText < minMaxText || c.MaxText > maxMaxText {
		fail("MaxText is %d; want %d to %d, or 0 for %d", c.MaxText, minMaxText, maxMaxText, DefaultMaxText)
	}
	if c.MaxDetails < 0 || c.MaxDetails > maxMaxDetails {
		fail("MaxDetails is %d; want 1 to %d, or 0 for %d", c.MaxDetails, maxMaxDetails, DefaultMaxDetails)
	}
	return errors.Join(errs...)
}
