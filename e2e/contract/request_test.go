package contract_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// request is one request of a call.
type request struct {
	Msg         string          `json:"msg"`
	Script      json.RawMessage `json:"script"`
	PayloadSize int             `json:"payload_size"`
}

// message returns the message to send.
func (r request) message() (*pb.Req, error) {
	m := &pb.Req{Msg: r.Msg, Payload: bytes.Repeat([]byte("p"), r.PayloadSize)}
	if r.Script == nil {
		return m, nil
	}
	script, err := parseScript(r.Script)
	m.Script = script
	return m, err
}

// ownScript contains the fields of a script that scenarios write differently from protobuf's JSON.
type ownScript struct {
	Initial  []pair     `json:"initial"`
	Trailing []pair     `json:"trailing"`
	FailCode *codeNamed `json:"fail_code"`
}

func parseScript(raw json.RawMessage) (*pb.Script, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	var own ownScript
	if err := json.Unmarshal(raw, &own); err != nil {
		return nil, fmt.Errorf("script %s: %w", raw, err)
	}
	for _, name := range []string{"initial", "trailing", "fail_code"} {
		delete(fields, name)
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	s := new(pb.Script)
	if err := protojson.Unmarshal(rest, s); err != nil { // rejects unknown fields
		return nil, fmt.Errorf("script %s: %w", raw, err)
	}
	if own.FailCode != nil {
		s.FailCode = uint32(*own.FailCode)
	}
	if s.Initial, err = headers(own.Initial); err == nil {
		s.Trailing, err = headers(own.Trailing)
	}
	return s, err
}

func headers(pairs []pair) (out []*pb.Header, err error) {
	for _, p := range pairs {
		v, err := p.wire()
		if err != nil {
			return nil, err
		}
		out = append(out, &pb.Header{Key: p.key, Value: []byte(v)})
	}
	return out, nil
}

// wire returns the value for grpc-go. Scenarios write binary values as "b64:…".
func (p pair) wire() (string, error) {
	if !strings.HasSuffix(p.key, "-bin") {
		return p.value, nil
	}
	said, ok := strings.CutPrefix(p.value, "b64:")
	v, err := base64.StdEncoding.DecodeString(said)
	if !ok || err != nil {
		return "", fmt.Errorf("the value of %s is %q; want b64: and base64", p.key, p.value)
	}
	return string(v), nil
}

// metadataOf returns metadata with the pairs in their order.
func metadataOf(pairs []pair) (metadata.MD, error) {
	md := metadata.MD{}
	for _, p := range pairs {
		v, err := p.wire()
		if err != nil {
			return nil, err
		}
		md.Append(p.key, v)
	}
	return md, nil
}

// callIDKey is the metadata key of the call's id.
const callIDKey = "x-call-id"

// shown returns the metadata that outcomes contain: x-* and authorization, without the call's id,
// sorted by key.
func shown(md metadata.MD) []pair {
	out := []pair{}
	for _, key := range keys(md, nil) {
		if key == callIDKey || !strings.HasPrefix(key, "x-") && key != "authorization" {
			continue
		}
		for _, v := range md[key] {
			out = append(out, pair{key, presented(key, v)})
		}
	}
	return out
}

// presented returns a value in the form of outcomes.
func presented(key, value string) string {
	if strings.HasSuffix(key, "-bin") {
		return "b64:" + base64.StdEncoding.EncodeToString([]byte(value))
	}
	return value
}
