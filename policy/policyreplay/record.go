package policyreplay

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/jsonobject"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// The bounds of a log.
const (
	MaxRecords = 1_000_000 // calls
	MaxLine    = 1 << 20   // bytes of a line; longer lines are left out
)

// Record is the record of a call of a server.
type Record struct {
	// Line is the line in the log.
	Line int
	// Start is when the call began.
	Start  time.Time
	Method string // "/shop.v1.Cart/Get"
	Kind   hauberk.Kind
	Code   codes.Code
	// Reason is the reason of the rejection, or "". By and Rule are the interceptor that rejected the call and its
	// rule, or "".
	Reason, By, Rule string
	// Identity is the caller, or nil if the record has none. Claims are the names of the claims that the record has,
	// also of those that are null, which the identity does not have.
	Identity *hauberk.Identity
	Claims   map[string]bool
	// Metadata is the request metadata, and HasMetadata reports whether the record has it. Partly are the keys whose
	// values are redacted or cut, and Cut reports whether keys are missing.
	Metadata    map[string][]string
	HasMetadata bool
	Partly      map[string]bool
	Cut         bool
	// Peer is the client's end of the connection. Client is the address of the client, if that is another one.
	Peer   netip.AddrPort
	Client netip.Addr
}

// Log are the records of a log, in the order in which the calls began.
type Log struct {
	Records []Record
	// Skipped is the number of lines that are not about the end of a call of a server.
	Skipped int
}

// Read reads a log. The error is about reading, or about the number of calls.
func Read(from io.Reader) (*Log, error) {
	log := &Log{}
	lines := bufio.NewReaderSize(from, MaxLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(line) > 0 {
			r, ok := parse(line)
			r.Line = number
			switch {
			case long || !ok:
				log.Skipped++
			case len(log.Records) == MaxRecords:
				return nil, fmt.Errorf("line %d: the log has more than %d calls; want a part of it", number, MaxRecords)
			default:
				log.Records = append(log.Records, r)
			}
		}
		if err != nil { // the end
			slices.SortStableFunc(log.Records, func(a, b Record) int { return a.Start.Compare(b.Start) })
			return log, nil //nolint:nilerr // io.EOF
		}
	}
}

// line is the JSON of a record. Raw values are nil if the record does not have them.
//
//nolint:tagliatelle // the names are those of package logging
type line struct {
	Time     time.Time                  `json:"time"`
	Msg      string                     `json:"msg"`
	Side     string                     `json:"rpc.side"`
	Method   string                     `json:"rpc.method"`
	Kind     string                     `json:"rpc.kind"`
	Code     string                     `json:"rpc.response.status_code"`
	Reason   string                     `json:"hauberk.rejection.reason"`
	Duration int64                      `json:"rpc.duration"`
	Peer     string                     `json:"network.peer.address"`
	Port     uint16                     `json:"network.peer.port"`
	Client   string                     `json:"client.address"`
	Identity json.RawMessage            `json:"hauberk.identity"`
	Metadata map[string]json.RawMessage `json:"rpc.request.metadata"`
	Made     []struct {
		Interceptor string `json:"interceptor"`
		Verdict     string `json:"verdict"`
		Rule        string `json:"rule"`
		Shadow      bool   `json:"shadow"`
	} `json:"hauberk.decisions"`
}

// identity is the JSON of an identity.
type identity struct {
	Subject string          `json:"subject"`
	Issuer  string          `json:"issuer"`
	Tenant  string          `json:"tenant"`
	Method  string          `json:"method"`
	Roles   []string        `json:"roles"`
	Scopes  []string        `json:"scopes"`
	Claims  json.RawMessage `json:"claims"`
}

// parse reads a line. It returns false if it is not the record of a call of a server.
func parse(text []byte) (Record, bool) {
	var l line
	if json.Unmarshal(text, &l) != nil || l.Msg != logging.MessageEnded || l.Side != hauberk.ServerSide.String() ||
		l.Time.IsZero() || !strings.Contains(l.Method, "/") {
		return Record{}, false
	}
	code, ok := codename.Parse(l.Code)
	if !ok {
		return Record{}, false
	}
	r := Record{
		Start: l.Time.Add(-time.Duration(max(l.Duration, 0))), Method: "/" + strings.TrimPrefix(l.Method, "/"),
		Kind: hauberk.Bidi, Code: code, Reason: l.Reason,
	}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream} {
		if kind.String() == l.Kind {
			r.Kind = kind
		}
	}
	for _, d := range l.Made {
		if d.Verdict == hauberk.Rejected.String() && !d.Shadow {
			r.By, r.Rule = d.Interceptor, d.Rule
		}
	}
	if address, err := netip.ParseAddr(l.Peer); err == nil {
		r.Peer = netip.AddrPortFrom(address, l.Port)
	}
	if l.Client != "" {
		r.Client, _ = netip.ParseAddr(l.Client)
	}
	r.readIdentity(l.Identity)
	r.readMetadata(l.Metadata)
	return r, true
}

// authn is the name of the interceptor, and of its entries.
const authn = "authn"

// readIdentity reads the caller. null is a call without one: of a public method, whose credential authn does not check,
// or one that was rejected before.
func (r *Record) readIdentity(raw json.RawMessage) {
	var id *identity
	if raw == nil || json.Unmarshal(raw, &id) != nil || id == nil {
		return
	}
	r.Claims = make(map[string]bool)
	r.Identity = &hauberk.Identity{
		Subject: id.Subject, Issuer: id.Issuer, Tenant: id.Tenant, Method: id.Method,
		Roles: id.Roles, Scopes: id.Scopes, Claims: make(map[string]any),
	}
	var claims map[string]any
	if id.Claims == nil || json.Unmarshal(id.Claims, &claims) != nil {
		return
	}
	for name, claim := range jsonobject.WithIntegers(id.Claims, claims) { // as authn reads them
		r.Claims[name] = true
		if claim != nil { // null is a claim that the credential does not have
			r.Identity.Claims[name] = claim
		}
	}
}

// cut is at the end of a text that logging has cut.
const cut = "…"

// readMetadata reads the request metadata.
func (r *Record) readMetadata(raw map[string]json.RawMessage) {
	r.HasMetadata = raw != nil
	r.Metadata, r.Partly = make(map[string][]string), make(map[string]bool)
	for key, value := range raw {
		if key == cut {
			r.Cut = true
			continue
		}
		var values []string
		if json.Unmarshal(value, &values) != nil {
			var one string
			if json.Unmarshal(value, &one) != nil {
				r.Partly[key] = true
				continue
			}
			values = []string{one}
		}
		if slices.ContainsFunc(values, func(v string) bool { return v == redact.Text || strings.HasSuffix(v, cut) }) {
			r.Partly[key] = true
			continue
		}
		r.Metadata[key] = values
	}
}

// Caller names the caller: its subject, or its address.
func (r *Record) Caller() string {
	subject, address := "", ""
	if r.Identity != nil {
		subject = r.Identity.Subject
	}
	if r.Client.IsValid() {
		address = r.Client.String()
	} else if r.Peer.IsValid() {
		address = r.Peer.Addr().String()
	}
	return cmp.Or(subject, address, "unknown")
}
