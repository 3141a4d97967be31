package logging

import (
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
)

// DefaultMaxBytes bounds what is logged of one message, and of the metadata that
// came or went together.
const DefaultMaxBytes = 4096

// Config says what is logged. The zero value logs the end of every call.
type Config struct {
	// Start adds a record when a call starts, at the level of calls that end as OK.
	Start bool
	// Messages adds a record for each message, at the level of calls that end as OK.
	Messages bool
	// Decisions adds the verdicts of all deciding interceptors, also of those that let the
	// call pass: call.Decisions, where the records have call.Recorded otherwise.
	Decisions bool
	// Levels are the levels of calls by code, on both sides, in place of those of
	// DefaultLevel. Codes that are not named keep theirs.
	Levels map[codes.Code]slog.Level
	// ClientErrors adds the text of errors to the records of a client, where it
	// comes from the server. A server's records have it always.
	ClientErrors bool
	// ClientPeer adds the server's address to the records of a client. To keep it
	// costs a call up to six allocations.
	ClientPeer bool
	// Rules say of some methods what is logged otherwise. Of those that name a
	// method the first one holds.
	Rules []Rule
	// Sampling leaves out a part of the calls.
	Sampling Sampling
	// Slow is the duration from which on Sampling leaves no call out. The default,
	// 0, stands for none.
	Slow time.Duration
	// Queue is how many records may wait for a goroutine of the interceptor that
	// writes them, so that no call waits for the log. When it is full records are
	// dropped and counted (Dropped). The default, 0, has each call write its own.
	// See Flush and Close.
	Queue int
	// Payloads are the contents of messages, which are not logged unless it says so.
	Payloads Payloads
	// Metadata is not logged unless it says so.
	Metadata Metadata
}

// Rule is what is logged of some methods. What it leaves out, nil or zero, is as
// Config says.
type Rule struct {
	// Methods are patterns as those of hauberk.For: "shop.v1.Cart/Get",
	// "shop.v1.Cart/*" or "*". There must be one.
	Methods []string
	// Off logs nothing, and costs next to nothing.
	Off bool
	// Level is that of all calls, whatever their code.
	Level *slog.Level
	// Levels are the levels by code, before Level.
	Levels map[codes.Code]slog.Level
	// Start, Messages and Payloads turn records on and off.
	Start, Messages, Payloads *bool
	// Sampling is that of these methods; Sampling{OneIn: 1} leaves nothing out.
	Sampling *Sampling
	// Slow is that of these methods.
	Slow *time.Duration
}

// Sampling leaves calls out: in each second, of each method and level, the First
// calls are logged and then one in OneIn. Levels between two of slog's count as
// the lower one. The zero value leaves none out.
//
// Calls of a level of Always or above, and slow ones (Config.Slow), are all logged.
// A call whose start was logged is logged to its end, with its messages, and of one
// whose start was left out no message is. The record of a call says how many of its
// method were left out since the last one (KeySampledOut), SampledOut how many there
// were in all. Methods that a server does not know count as one.
type Sampling struct {
	// First is how many are logged in each second.
	First int
	// OneIn is how many of the rest one is logged of; 0 logs none of the rest.
	OneIn int
	// Always is the level from which on all are logged. The default is WARN.
	Always *slog.Level
}

// Payloads says what of messages is logged: as protobuf JSON (see
// https://protobuf.dev/programming-guides/json), without fields that are marked
// debug_redact, or annotated with an option whose enum value is, in messages at any
// depth. "[redacted]" stands in their place.
// Fields that the program does not know are not written at all; the contents of an
// Any only where its type is known. Of a message that is not protobuf only type and
// size are logged.
type Payloads struct {
	// On logs the messages of all methods that no rule excludes, in records as of
	// Config.Messages, which it implies.
	On bool
	// Redact names more fields that are not to be logged: in full
	// ("shop.v1.Card.number", of a message that is known, see WithTypes), or by a
	// plain name ("api_key"), which stands for the fields, and the keys of maps and
	// structs, so called in any message, also as JSON does ("apiKey").
	Redact []string
	// MaxBytes bounds the text of one message; what is beyond it is cut, and costs
	// nothing. The default is DefaultMaxBytes.
	MaxBytes int
}

// Metadata says what of metadata is logged. "[redacted]" stands in place of the
// values under these names, and under those that end in them after a "-", as
// proxy-authorization and x-api-key:
//
//	authorization, cookie, token, key, bin
//
// Case makes no difference, and neither whether "-", "_" or "." parts the words.
type Metadata struct {
	// Request logs the request's, with the start and with the end of a call: on a
	// server as it came, on a client as far as it is known at the interceptor's place
	// in the chain.
	Request bool
	// Response logs the response's, with the end of a call: on a client header and
	// trailer, which cost a call up to six allocations to keep; on a server the
	// header only, since grpc-go does not tell of a trailer.
	Response bool
	// Redact names more that is not to be logged: "x-session", or "*-secret" for
	// "secret" and all that end so.
	Redact []string
	// MaxBytes bounds the names and values of one header or trailer; beyond it they
	// are counted under "…". The default is DefaultMaxBytes.
	MaxBytes int
}
