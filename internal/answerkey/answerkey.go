// Package answerkey makes the keys under which interceptors share answers between calls: those with
// the same key have the same method, request, chosen metadata and identity.
package answerkey

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcreds"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// Key identifies calls that may share an answer. Request identifies only their method and request.
type Key struct{ Whole, Request [sha256.Size]byte }

// Func returns a further part of the key of a call; ok is false if the call shares no answer. It
// must not modify the request.
type Func func(ctx context.Context, call *hauberk.Call, request any) (part string, ok bool)

// Config holds the settings of [New].
type Config struct {
	Name             string   // of the interceptor
	Methods          []string // patterns, as well as the methods without side effects
	Metadata         []string // keys whose values are part of the key
	AcrossIdentities bool
}

// Keys makes keys. Safe for concurrent use.
type Keys struct {
	config   Config
	of       Func // nil for none
	methods  pattern.Set
	metadata []string
	covered  methodtable.Cache[*hauberk.Method, bool]
}

// New returns the keys for a configuration, with of unless that is nil, and what is wrong with it.
func New(config Config, of Func) (*Keys, error) {
	k := &Keys{config: config, of: of}
	var bad []string
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	k.methods, bad = pattern.ParseAll(config.Methods)
	for _, text := range bad {
		fail("Methods has %.100q; %s", text, pattern.Want)
	}
	for _, key := range config.Metadata {
		key = strings.ToLower(key)
		if !metadatakey.Legal(key) {
			fail("Metadata has %.100q; want a metadata key of letters, digits, '-', '_' and '.'", key)
		}
		k.metadata = append(k.metadata, key)
	}
	return k, errors.Join(errs...)
}

// Unmatched lists the patterns of Config.Methods that match none of the methods.
func (k *Keys) Unmatched(methods []*hauberk.Method) []string {
	return pattern.IndexOf(methods).Unmatched(k.config.Name+".Config.Methods", k.methods)
}

// Covers reports whether calls of a method may share answers: it is unary, and without side effects
// or listed.
func (k *Keys) Covers(m *hauberk.Method) bool {
	if m.Kind() != hauberk.Unary {
		return false
	}
	if covered, ok := k.covered.Get(m); ok {
		return covered
	}
	return k.covered.Keep(m, k.methods.Matches(m.Service(), m.Name()) || m.NoSideEffects())
}

// usual is the room for the text of a key on the stack, in bytes.
const usual = 512

// Of returns the key of a call of a method that is covered. ok is false if the call shares no answer:
// its request is not a protobuf message, its identity is not known, or the Func says so. On a server
// Of reads the request. An error ends the call.
func (k *Keys) Of(ctx context.Context, call *hauberk.Call) (key Key, ok bool, err error) {
	request, err := call.Read(ctx)
	if err != nil {
		return key, false, err
	}
	var room [usual]byte
	text := AppendText(room[:0], call.Method().FullName())
	if text, ok = appendRequest(text, request); !ok {
		return key, false, nil
	}
	key.Request = sha256.Sum256(text)
	text = append(text[:0], key.Request[:]...)
	if text, ok = k.appendIdentity(ctx, call, text); !ok {
		return key, false, nil
	}
	text = appendPlace(ctx, call, text)
	for _, name := range k.metadata {
		text = appendTexts(text, call.Metadata(ctx, name))
	}
	if k.of != nil {
		part, ok, err := k.further(ctx, call, request)
		if !ok || err != nil {
			return key, false, err
		}
		text = AppendText(text, part)
	}
	key.Whole = sha256.Sum256(text)
	return key, true, nil
}

// RequestOf returns Key.Request for a method, such as "/shop.v1.Cart/Get", and a request.
func RequestOf(method string, request any) (key [sha256.Size]byte, ok bool) {
	text, ok := appendRequest(AppendText(nil, method), request)
	return sha256.Sum256(text), ok
}

// further calls the Func. Its panic is an error of the call.
func (k *Keys) further(ctx context.Context, call *hauberk.Call, request any) (part string, ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			ok = false
			err = &hauberk.Rejection{
				Code: codes.Internal, Reason: ReasonKeyPanicked, Message: "The key of the call could not be made",
				Cause: fmt.Errorf("%w: %v", ErrKeyPanicked, v),
			}
		}
	}()
	part, ok = k.of(ctx, call, request)
	return part, ok, nil
}

// ErrKeyPanicked is in errors of calls whose [Func] panicked.
var ErrKeyPanicked = errors.New("the key function panicked")

// ReasonKeyPanicked is the reason of their rejections.
const ReasonKeyPanicked = "KEY_FUNCTION_PANICKED"

// appendPlace appends what the call goes to.
func appendPlace(ctx context.Context, call *hauberk.Call, text []byte) []byte {
	text = append(text, byte(call.Side()))
	if call.Side() == hauberk.ServerSide {
		return appendTexts(text, call.Metadata(ctx, ":authority"))
	}
	text = AppendText(text, call.Target())
	authority := ""
	for _, o := range call.Options() {
		if o, ok := o.(grpc.AuthorityOverrideCallOption); ok {
			authority = o.Authority
		}
	}
	return AppendText(text, authority)
}

// credentials are the metadata keys that identify a caller without an identity in [AppendCaller].
//
//nolint:gochecknoglobals // never written
var credentials = [...]string{"authorization", "cookie", "x-api-key"}

// appendIdentity appends the identity of a call; ok is false if it is not known.
func (k *Keys) appendIdentity(ctx context.Context, call *hauberk.Call, text []byte) (_ []byte, ok bool) {
	if k.config.AcrossIdentities {
		return text, true
	}
	if call.Side() == hauberk.ServerSide {
		if id, _ := hauberk.IdentityKey.Get(call); id != nil {
			return appendID(text, id), true
		}
		md, _ := metadata.FromIncomingContext(ctx)
		return appendAllCredentials(md, append(text, 'p')), call.Public()
	}
	if callcreds.Effective(call.Options()) != nil {
		return text, false // only grpc-go asks them, once it has a connection
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	text = appendAllCredentials(md, append(text, 'c'))
	// An inner interceptor may call on behalf of the incoming caller.
	if id, _ := hauberk.IdentityKey.FromContext(hauberk.Incoming(ctx)); id != nil {
		return appendID(text, id), true
	}
	md, _ = metadata.FromIncomingContext(ctx)
	text = appendAllCredentials(md, append(text, 'm'))
	return text, true
}

// appendAllCredentials appends the metadata that may identify a caller. To leave one out would share the
// answer of one caller with another.
func appendAllCredentials(md metadata.MD, text []byte) []byte {
	names := make([]string, 0, len(credentials))
	for name := range md {
		if metadatakey.Credential(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	text = appendTexts(text, names)
	for _, name := range names {
		text = appendTexts(text, md[name])
	}
	return text
}

func appendCredentials(ctx context.Context, call *hauberk.Call, text []byte) []byte {
	for _, name := range credentials {
		text = appendTexts(text, call.Metadata(ctx, name))
	}
	return text
}

// appendID appends what an answer may depend on. Claims such as the time of issue differ between the
// tokens of one caller.
func appendID(text []byte, id *hauberk.Identity) []byte {
	text = AppendText(append(text, 'i'), id.Issuer)
	text = AppendText(AppendText(text, id.Subject), id.Tenant)
	return appendTexts(appendTexts(text, id.Scopes), id.Roles)
}

// AppendCaller appends who makes a call on a server: the issuer, subject and tenant of its identity, or
// the credentials that it sends. The scopes and roles of a caller may change between its calls.
func AppendCaller(ctx context.Context, call *hauberk.Call, dst []byte) []byte {
	if id, _ := hauberk.IdentityKey.Get(call); id != nil {
		return AppendText(AppendText(AppendText(append(dst, 'i'), id.Issuer), id.Subject), id.Tenant)
	}
	return appendCredentials(ctx, call, append(dst, 'p'))
}

// appendRequest appends the deterministic encoding of a protobuf message.
func appendRequest(text []byte, request any) (_ []byte, ok bool) {
	m, ok := protomessage.Of(request)
	if !ok {
		return text, false
	}
	encoded, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.MarshalAppend(text, m)
	return encoded, err == nil
}

// AppendText appends a text and its length, so that different texts make different keys.
func AppendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(texts)))
	for _, t := range texts {
		dst = AppendText(dst, t)
	}
	return dst
}
