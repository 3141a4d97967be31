package authzext

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// partialBody is the header that says whether the body was shortened.
const partialBody = "x-envoy-auth-partial-body"

// request returns the check for a call, without its time.
func (x *Interceptor) request(
	ctx context.Context, call *hauberk.Call, md metadata.MD,
) (*authv3.CheckRequest, error) {
	http := x.httpRequest(call, md)
	attributes := &authv3.AttributeContext{
		Source: x.source(call), Destination: destination(call.Peer()),
		Request:           &authv3.AttributeContext_Request{Http: http},
		ContextExtensions: x.config.ContextExtensions, MetadataContext: x.identity(call),
	}
	req := &authv3.CheckRequest{Attributes: attributes}
	if size := proto.Size(req); size > x.config.MaxRequest {
		return nil, tooLarge("the check", size, x.config.MaxRequest)
	}
	return req, x.addBody(ctx, call, http)
}

// httpRequest returns the attributes of the HTTP request.
func (x *Interceptor) httpRequest(call *hauberk.Call, md metadata.MD) *authv3.AttributeContext_HttpRequest {
	http := &authv3.AttributeContext_HttpRequest{
		Method: "POST", Path: text(call.Method().FullName()), Scheme: "http", Protocol: "HTTP/2", Size: -1,
		Headers: make(map[string]string, len(md)+3),
	}
	if p := call.Peer(); p != nil && p.AuthInfo != nil && p.AuthInfo.AuthType() == "tls" {
		http.Scheme = "https"
	}
	if values := md[":authority"]; len(values) > 0 {
		http.Host = text(values[0])
	}
	x.addHeader(http, ":method", http.GetMethod())
	x.addHeader(http, ":path", http.GetPath())
	x.addHeader(http, ":scheme", http.GetScheme())
	for key, values := range md {
		x.addHeader(http, key, joined(key, values))
	}
	http.Id = http.GetHeaders()["x-request-id"]
	return http
}

// addHeader adds a header that may be sent. Clients cannot say that a body is partial.
func (x *Interceptor) addHeader(http *authv3.AttributeContext_HttpRequest, key, value string) {
	if key != partialBody && x.headers.has(key) && !x.withoutHeaders.has(key) {
		http.Headers[text(key)] = value
	}
}

// joined returns the values of a key as one, as RFC 9110 joins them. Values of binary keys are in
// base64 without padding, as gRPC sends them.
func joined(key string, values []string) string {
	if !metadatakey.Binary(key) {
		return text(strings.Join(values, ","))
	}
	encoded := make([]string, len(values))
	for i, v := range values {
		encoded[i] = base64.RawStdEncoding.EncodeToString([]byte(v))
	}
	return strings.Join(encoded, ",")
}

// source returns the client: its address behind trusted proxies, and the name in its certificate.
func (x *Interceptor) source(call *hauberk.Call) *authv3.AttributeContext_Peer {
	p := call.Peer()
	source := &authv3.AttributeContext_Peer{Principal: text(principal(p))}
	if addr := call.ClientAddr(); addr.IsValid() {
		source.Address = socket(addr, x.portOf(p, addr))
	} else if p != nil {
		source.Address = address(p.Addr)
	}
	return source
}

// portOf returns the port of the client, if it is the peer. With a cache it is 0, since it differs
// for each connection.
func (x *Interceptor) portOf(p *peer.Peer, client netip.Addr) uint32 {
	if x.kept != nil || p == nil {
		return 0
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	if !ok || tcp.AddrPort().Addr().Unmap().WithZone("") != client {
		return 0
	}
	return uint32(tcp.AddrPort().Port())
}

// destination returns this end of the connection.
func destination(p *peer.Peer) *authv3.AttributeContext_Peer {
	d := new(authv3.AttributeContext_Peer)
	if p != nil {
		d.Address = address(p.LocalAddr)
	}
	return d
}

// address returns an address of TCP or of a Unix socket, or nil.
func address(a net.Addr) *corev3.Address {
	switch a := a.(type) {
	case *net.TCPAddr:
		at := a.AddrPort()
		if !at.Addr().IsValid() {
			return nil
		}
		return socket(at.Addr().Unmap().WithZone(""), uint32(at.Port()))
	case *net.UnixAddr:
		if a.Name == "" {
			return nil
		}
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: text(a.Name)}}}
	default:
		return nil
	}
}

func socket(addr netip.Addr, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: addr.String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// principal returns the name in the client's certificate, as Envoy and gRFC A92 do: its first URI
// SAN, or else its first DNS SAN, or else its subject by RFC 2253. A certificate that crypto/tls
// has not verified has no name.
func principal(p *peer.Peer) string {
	if p == nil {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return ""
	}
	cert := info.State.VerifiedChains[0][0]
	switch {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	default:
		return cert.Subject.String()
	}
}

// identity returns the identity of the caller as metadata_context, or nil.
func (x *Interceptor) identity(call *hauberk.Call) *corev3.Metadata {
	if x.config.Identity == "" {
		return nil
	}
	id, _ := hauberk.IdentityKey.Get(call)
	if id == nil || id.Subject == "" {
		return nil
	}
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	for name, value := range map[string]string{
		"subject": id.Subject, "issuer": id.Issuer, "tenant": id.Tenant, "method": id.Method,
	} {
		if value != "" {
			s.Fields[name] = structpb.NewStringValue(text(value))
		}
	}
	for name, values := range map[string][]string{"roles": id.Roles, "scopes": id.Scopes} {
		if len(values) > 0 {
			s.Fields[name] = listOf(values)
		}
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{x.config.Identity: s}}
}

func listOf(values []string) *structpb.Value {
	list := &structpb.ListValue{Values: make([]*structpb.Value, len(values))}
	for i, v := range values {
		list.Values[i] = structpb.NewStringValue(text(v))
	}
	return structpb.NewListValue(list)
}

// addBody reads the first request and adds it. The request of an unknown method has no type,
// so that it is not read.
func (x *Interceptor) addBody(
	ctx context.Context, call *hauberk.Call, http *authv3.AttributeContext_HttpRequest,
) error {
	body := x.config.Body
	if body == nil {
		return nil
	}
	http.Headers[partialBody] = "false"
	if !call.Method().Known() {
		return nil
	}
	msg, err := call.ReadFirst(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	m, ok := msg.(proto.Message)
	if !ok {
		return failed("the request has the type %T; want a message in protobuf", msg)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return failed("the request cannot be encoded: %w", err)
	}
	prefix := lengthPrefix(len(raw))
	http.Size = int64(len(prefix) + len(raw))
	if len(raw) > body.MaxBytes {
		if !body.AllowPartial {
			return tooLarge("the request", len(raw), body.MaxBytes)
		}
		raw = raw[:body.MaxBytes]
		http.Headers[partialBody] = "true"
	}
	http.RawBody = slices.Concat(prefix, raw)
	return nil
}

// lengthPrefix returns what precedes a message of n bytes in the body of a gRPC request: a byte that says
// that it is not compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message). Services
// written for Envoy expect it: they skip a body that does not begin with it, and with it their rules.
func lengthPrefix(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(n)) // below 4 GiB
}
