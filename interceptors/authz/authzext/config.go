package authzext

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Defaults of [Config].
const (
	// DefaultTimeout is the default of [Config.Timeout], that of Envoy.
	DefaultTimeout = 200 * time.Millisecond
	// DefaultMaxRequest is the default of [Config.MaxRequest].
	DefaultMaxRequest = 64 << 10
	// DefaultMaxCached is the default of [Config.MaxCached].
	DefaultMaxCached = 10_000
)

// MaxAnswer is the size of the largest answer of the service, in bytes. A larger one is an
// invalid answer.
const MaxAnswer = 64 << 10

// Config holds the settings of [New]. Conn must be set.
//
// Lists of metadata keys have keys such as "x-user", or prefixes such as "x-user-*". Case does
// not matter.
type Config struct {
	// Conn is the connection to the authorization service. The application dials it, so that
	// credentials, load balancing, keepalive and default call options are its own. Without
	// grpc.WaitForReady among those, a check fails at once while there is no connection. The
	// interceptor does not close it.
	Conn grpc.ClientConnInterface
	// Timeout bounds a check. The default, 0, is DefaultTimeout. A check also ends with the
	// call that needs it.
	Timeout time.Duration
	// FailOpen admits calls if the service cannot be reached (UNAVAILABLE), does not answer in
	// time (DEADLINE_EXCEEDED), or answers with an error_response. Each of these calls has a
	// decision with the rule [FailedOpen]. Nothing else is admitted without an answer: not if
	// the answer is invalid, and not if the service ends the check with another status. Set
	// OwnHeaders as well: the client's own values survive if the service does not replace them.
	FailOpen bool
	// ErrorCode is the status code of calls that could not be checked. The default, 0, is
	// UNAVAILABLE. Envoy's default (status_on_error) corresponds to PERMISSION_DENIED.
	ErrorCode codes.Code
	// Headers are the keys of the metadata that are sent to the service. nil sends all of them,
	// as Envoy does, with "authorization" and other secrets. The pseudo headers ":authority",
	// ":method", ":path" and ":scheme" are among the headers too.
	Headers []string
	// WithoutHeaders are keys that are not sent, even if Headers lists them.
	WithoutHeaders []string
	// OwnHeaders are the keys that only the service may set, such as "x-user". What clients
	// send under them is removed from the metadata of every call, those of public methods
	// included, and not sent to the service.
	OwnHeaders []string
	// ClientHeaders are the keys under which the service may send metadata to clients: as
	// response header of calls that it allows, as trailer of those that it denies. nil permits
	// all that are not reserved; an empty list permits none.
	ClientHeaders []string
	// SendBody sends the body of a denial as the message of the status, the first 1024 bytes
	// of it. By default clients receive a fixed text, since bodies are often written for
	// browsers. The body of an error_response is never sent.
	SendBody bool
	// Identity is the namespace of metadata_context under which the caller's
	// [hauberk.Identity] is sent: a struct with subject, issuer, tenant, method, roles and
	// scopes, without those that are empty. "" sends no identity. If it is set, an outer
	// interceptor must authenticate.
	Identity string
	// ContextExtensions are sent as context_extensions with each check.
	ContextExtensions map[string]string
	// Body sends the first request message. nil sends none.
	Body *Body
	// MaxRequest bounds the size of a check without the body, in bytes. Calls beyond it end
	// with RESOURCE_EXHAUSTED, also with FailOpen. The default, 0, is DefaultMaxRequest. The
	// service must accept messages of this size.
	MaxRequest int
	// CacheFor is how long an answer is used for equal checks. The default, 0, asks for each
	// call. See the package's documentation for what is equal.
	CacheFor time.Duration
	// MaxCached is the greatest number of answers in the cache that allow a call, of up to MaxAnswer
	// bytes each, and that of answers that deny one: these displace none of the others. The default,
	// 0, is DefaultMaxCached.
	MaxCached int
	// RecordAllowed records a decision for each call that the service allows
	// ([hauberk.Call.Decisions]). Others are always recorded.
	RecordAllowed bool
}

// Body is how the first request message is sent, as raw_body: the message in protobuf, after the five
// bytes of gRPC's framing, as by Envoy with pack_as_bytes. The message is not compressed.
//
// The message is read before the decision. A client that waits for the server before it sends its
// first message waits until its deadline. A stream without a message and a method that the server
// does not have are checked without a body.
type Body struct {
	// MaxBytes is the size of the largest message that is sent, without the framing: at least 1.
	// Calls with a larger one end with RESOURCE_EXHAUSTED, also with FailOpen.
	MaxBytes int
	// AllowPartial sends the first MaxBytes of a larger message, after its whole length. The header
	// "x-envoy-auth-partial-body" is then "true".
	AllowPartial bool
}

// withDefaults returns a copy with defaults, which the caller's slices and maps do not share.
func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.ErrorCode == codes.OK {
		c.ErrorCode = codes.Unavailable
	}
	if c.MaxRequest == 0 {
		c.MaxRequest = DefaultMaxRequest
	}
	if c.MaxCached == 0 {
		c.MaxCached = DefaultMaxCached
	}
	if c.Body != nil {
		body := *c.Body
		c.Body = &body
	}
	c.Identity = text(c.Identity)
	extensions := make(map[string]string, len(c.ContextExtensions))
	for key, value := range c.ContextExtensions {
		extensions[text(key)] = text(value)
	}
	c.ContextExtensions = extensions
	return c
}

// check returns what is wrong with the settings.
func (c Config) check() error {
	var errs []error
	if c.Conn == nil {
		errs = append(errs, errors.New("Config.Conn is nil; want a connection to the authorization service"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("Config.Timeout is %v; want 0 for the default, or a time", c.Timeout))
	}
	if c.ErrorCode > codes.Unauthenticated {
		errs = append(errs, fmt.Errorf("Config.ErrorCode is %v; want a code of gRPC", c.ErrorCode))
	}
	if c.CacheFor < 0 {
		errs = append(errs, fmt.Errorf("Config.CacheFor is %v; want 0 for no cache, or a time", c.CacheFor))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxRequest", c.MaxRequest}, {"MaxCached", c.MaxCached}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d; want 0 for the default, or a number", "Config."+n.name, n.value))
		}
	}
	if c.Body != nil && c.Body.MaxBytes < 1 {
		errs = append(errs, fmt.Errorf("Config.Body.MaxBytes is %d; want at least 1", c.Body.MaxBytes))
	}
	for _, name := range slices.Sorted(maps.Keys(c.lists())) {
		errs = append(errs, checkKeys(name, c.lists()[name]))
	}
	return errors.Join(errs...)
}

// lists returns the lists of metadata keys by the names of their fields.
func (c Config) lists() map[string][]string {
	return map[string][]string{
		"Headers": c.Headers, "WithoutHeaders": c.WithoutHeaders,
		"OwnHeaders": c.OwnHeaders, "ClientHeaders": c.ClientHeaders,
	}
}

func checkKeys(field string, list []string) error {
	var errs []error
	for i, key := range list {
		name := strings.ToLower(strings.TrimSuffix(key, "*"))
		if key == "*" || key == ":*" || metadatakey.Legal(strings.TrimPrefix(name, ":")) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s[%d] is %q; want a metadata key, or a prefix such as %q",
			"Config."+field, i, key, "x-user-*"))
	}
	return errors.Join(errs...)
}

// keys is a set of metadata keys, in lower case.
type keys struct {
	all      bool
	whole    map[string]struct{}
	prefixes []string
}

func newKeys(list []string) keys {
	k := keys{whole: make(map[string]struct{}, len(list))}
	for _, key := range list {
		key = strings.ToLower(key)
		if prefix, ok := strings.CutSuffix(key, "*"); ok {
			k.prefixes = append(k.prefixes, prefix)
		} else {
			k.whole[key] = struct{}{}
		}
	}
	return k
}

// keysOr is newKeys, and all keys for a list that is nil.
func keysOr(list []string) keys {
	k := newKeys(list)
	k.all = list == nil
	return k
}

func (k keys) empty() bool { return !k.all && len(k.whole) == 0 && len(k.prefixes) == 0 }

func (k keys) has(key string) bool {
	if k.all {
		return true
	}
	if _, ok := k.whole[key]; ok {
		return true
	}
	return slices.ContainsFunc(k.prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}
