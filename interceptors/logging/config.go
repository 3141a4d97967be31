package logging

import (
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// DefaultMaxBytes is the default limit of the text of one message, and of one header or
// trailer.
const DefaultMaxBytes = 4096

// Config defines what is logged. The zero value logs the end of every call.
type Config struct {
	// Names replaces names of attributes. The default is OpenTelemetryNames.
	Names Names
	// Start adds a record when a call starts, at the level of calls that end with OK.
	Start bool
	// Messages adds a record for each message, at the level of calls that end with OK.
	Messages bool
	// Decisions logs the verdicts of all deciding interceptors (call.Decisions),
	// including those that let the call pass. By default the record has call.Recorded.
	Decisions bool
	// Levels are the levels of calls by code, on both sides. Codes that are not in it
	// have the level of DefaultLevel.
	Levels map[codes.Code]slog.Level
	// ClientErrors adds the text of errors, which comes from the server, to the records
	// of a client. A server's records always have it.
	ClientErrors bool
	// ClientPeer adds the server's address to the records of a client. It costs a call
	// up to six allocations.
	ClientPeer bool
	// Rules change what is logged for some methods. The first rule that names a method
	// applies to it.
	Rules []Rule
	// Sampling leaves out a part of the calls.
	Sampling Sampling
	// Calls that last Slow or longer are always logged. The default, 0, means that no call
	// is slow.
	Slow time.Duration
	// Queue is the number of records that may wait for the goroutine that writes them.
	// If the queue is full, records are dropped and counted (Dropped). With the default,
	// 0, each call writes its own records. See Flush and Close.
	Queue int
	// Payloads logs the contents of messages. By default they are not logged.
	Payloads Payloads
	// Metadata logs metadata. By default it is not logged.
	Metadata Metadata
	// Identity logs the callers of a server. By default they are not logged.
	Identity Identity
}

// Identity logs the caller of each call of a server at its end, by hauberk.IdentityKey: a group with subject, issuer,
// tenant, method, roles and scopes, each if it is not empty. A call without an identity has the value null.
type Identity struct {
	// On logs the identity.
	On bool
	// Claims are the names of claims that are logged, in the group claims. One that the credential does not have is
	// null. A claim whose JSON has more than 4096 bytes is left out. The default is none: claims may hold personal
	// data. It has no effect without On.
	Claims []string
}

// Rule changes what is logged for some methods. For fields that are nil or zero Config
// applies.
type Rule struct {
	// Methods are patterns like those of hauberk.For: "shop.v1.Cart/Get",
	// "shop.v1.Cart/*" or "*". At least one is required. On a server a pattern that matches
	// no method is an error of hauberk.Server.Serve.
	Methods []string
	// Off turns logging off. A call then costs next to nothing.
	Off bool
	// Level is the level of all calls, whichever code they end with.
	Level *slog.Level
	// Levels are the levels by code. They take precedence over Level.
	Levels map[codes.Code]slog.Level
	// Start, Messages and Payloads turn records on and off.
	Start, Messages, Payloads *bool
	// Sampling replaces that of Config. Sampling{OneIn: 1} leaves no call out.
	Sampling *Sampling
	// Slow replaces that of Config.
	Slow *time.Duration
}

// Sampling leaves calls out. In each second and for each method and level the first
// First calls are logged, and then one in OneIn. A level between two of slog's levels
// counts as the lower one. The zero value leaves no call out.
//
//   - Calls of level Always or above, and slow calls (Config.Slow), are always logged.
//   - A call whose start was logged is logged to its end, with its messages. A call
//     whose start was left out has no records of messages.
//   - The record of a call has the number of calls of its method that were left out
//     since the last record (KeySampledOut). SampledOut returns the total.
//   - Methods that a server does not know count as one method.
type Sampling struct {
	// First is the number of calls that are logged in each second.
	First int
	// After First, one call in OneIn is logged; with 0, none of them.
	OneIn int
	// Calls of level Always or above are always logged. The default is WARN.
	Always *slog.Level
}

// Payloads logs the contents of messages as protobuf JSON (see
// https://protobuf.dev/programming-guides/json). The text "[redacted]" replaces the
// value of each field, in messages at any depth, that is marked debug_redact or that is
// annotated with an option whose enum value is marked debug_redact. Fields that the
// program does not know are not logged, and the contents of an Any only if its type is
// known. For messages that are not protobuf only type and size are logged.
type Payloads struct {
	// On logs the messages of all methods for which no rule turns it off. It implies
	// Config.Messages.
	On bool
	// Redact names further fields that are not logged. A full name,
	// "shop.v1.Card.number", is that of a field of a known message (see WithTypes). A
	// plain name, "api_key", is that of fields in all messages, and of keys of maps
	// and structs; the form that JSON has ("apiKey") is included.
	Redact []string
	// MaxBytes limits the text of one message. The rest is cut off and costs nothing.
	// The default is DefaultMaxBytes.
	MaxBytes int
}

// Metadata logs metadata. The text "[redacted]" replaces the values under these names,
// and under names that end in "-" and one of them, such as proxy-authorization,
// x-api-key and cf-access-jwt-assertion:
//
//	authorization, cookie, key, bin, jwt, assertion
//
// and under names that end in one of these, such as apikey and x-amzn-oidc-accesstoken:
//
//	token, apikey, password, secret
//
// Case makes no difference, and "-", "_" and "." are the same.
type Metadata struct {
	// Request logs the metadata of the request, at the start and at the end of a call:
	// on a server as it was received, on a client as it is at the interceptor's place in
	// the chain.
	Request bool
	// Response logs the metadata of the response, at the end of a call: on a client
	// header and trailer, which cost a call up to six allocations; on a server the
	// header only, because grpc-go does not expose the trailer.
	Response bool
	// Redact names more keys that are not logged: "x-session", or "*-pin" for "pin" and all
	// names that end in "-pin".
	Redact []string
	// MaxBytes limits the names and values of one header or trailer. The names beyond
	// it are counted under "…". The default is DefaultMaxBytes.
	MaxBytes int
}

func (x *Interceptor) newRedactor(c Payloads) *redact.Redactor {
	limit := x.maxBytes(c.MaxBytes, "Config.Payloads.MaxBytes")
	r, errs := redact.New("Config.Payloads.Redact", c.Redact, x.types, limit)
	x.errs = append(x.errs, errs...)
	return r
}

func (x *Interceptor) maxBytes(n int, at string) int {
	if n < 0 {
		x.failf("%s is %d; want a number of bytes, or 0 for %d", at, n, DefaultMaxBytes)
	}
	if n == 0 {
		return DefaultMaxBytes
	}
	return n
}
