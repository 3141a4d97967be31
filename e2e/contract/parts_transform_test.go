package contract_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

type metadataConfig struct {
	head

	Add    []pair   `json:"add"`
	Set    []pair   `json:"set"`
	Remove []string `json:"remove"`
}

// newMetadata changes a client's request metadata.
func newMetadata(_ *world, c metadataConfig) (part, error) {
	set, setErr := rawMetadata(c.Set)
	add, addErr := rawMetadata(c.Add)
	change := transform.Metadata{Remove: c.Remove, Set: set, Add: add}
	return linked(transform.New(transform.Config{Metadata: change})), errors.Join(setErr, addErr)
}

// rawMetadata returns metadata with the pairs. Binary values are written "hex:…".
func rawMetadata(pairs []pair) (metadata.MD, error) {
	md := metadata.MD{}
	for _, p := range pairs {
		v := p.value
		if strings.HasSuffix(p.key, "-bin") {
			said, ok := strings.CutPrefix(p.value, "hex:")
			raw, err := hex.DecodeString(said)
			if !ok || err != nil {
				return nil, fmt.Errorf("the value of %s is %q; want hex: and pairs of digits", p.key, p.value)
			}
			v = string(raw)
		}
		md.Append(p.key, v)
	}
	return md, nil
}

type timeoutConfig struct {
	head

	MS           *float64 `json:"ms"` // null removes the caller's
	OnlyIfAbsent bool     `json:"only_if_absent"`
	Cap          bool     `json:"cap"`
}

// newTimeout sets, caps or removes a client's deadline.
func newTimeout(_ *world, c timeoutConfig) (part, error) {
	var config transform.Config
	switch {
	case c.MS == nil && c.Cap:
		return part{}, errors.New("there is nothing to cap at")
	case c.MS == nil:
		config.NoTimeout = !c.OnlyIfAbsent
	case c.OnlyIfAbsent:
		config.DefaultTimeout = atLeast(*c.MS)
	case c.Cap:
		config.MaxTimeout = atLeast(*c.MS)
	default:
		config.Timeout = atLeast(*c.MS)
	}
	return linked(transform.New(config)), nil
}

// atLeast returns a time that is none of a configuration's zero values.
func atLeast(ms float64) time.Duration { return max(millis(ms), 1) }

type methodConfig struct {
	head

	To string `json:"to"`
}

// newMethod sends a client's calls to another method.
func newMethod(_ *world, c methodConfig) (part, error) {
	return linked(transform.New(transform.Config{Method: c.To})), nil
}

// newCompression compresses a client's requests.
func newCompression(*world, head) (part, error) {
	return linked(transform.New(transform.Config{Compressor: "gzip"})), nil
}

type headersConfig struct {
	head

	Initial  []pair `json:"initial"`
	Trailing []pair `json:"trailing"`
}

// newHeaders adds to a server's headers and trailers.
func newHeaders(_ *world, c headersConfig) (part, error) {
	header, headerErr := metadataOf(c.Initial)
	trailer, trailerErr := metadataOf(c.Trailing)
	return linked(transform.New(transform.Config{Header: header, Trailer: trailer})), errors.Join(headerErr, trailerErr)
}

type mapStatusConfig struct {
	head

	From    codeNamed `json:"from"`
	To      codeNamed `json:"to"`
	Details string    `json:"details"`
}

func (c mapStatusConfig) interceptor() hauberk.Interceptor {
	return transform.New(transform.Config{Statuses: []transform.Status{
		{From: c.From.code(), To: c.To.code(), Message: c.Details},
	}})
}

// newServerMapStatus replaces a status on a server, in calls of every kind.
func newServerMapStatus(_ *world, c mapStatusConfig) (part, error) {
	return linked(c.interceptor()), nil
}

// newClientMapStatus replaces a status on a client, in calls with one response.
func newClientMapStatus(_ *world, c mapStatusConfig) (part, error) {
	single := func(call *hauberk.Call) bool { return !call.Kind().ServerStreams() }
	return linked(hauberk.When(single, c.interceptor())), nil
}

type serverTransformConfig struct {
	head

	RequestPrefix  string  `json:"request_prefix"`
	ResponsePrefix string  `json:"response_prefix"`
	Drop           *string `json:"drop"`
}

// newServerTransform changes or drops requests, and changes responses.
func newServerTransform(_ *world, c serverTransformConfig) (part, error) {
	requests := func(_ *hauberk.Call, req *pb.Req, emit func(*pb.Req) error) error {
		if c.Drop != nil && req.GetMsg() == *c.Drop {
			return nil
		}
		req.Msg = c.RequestPrefix + req.GetMsg()
		return emit(req)
	}
	return linked(transform.New(transform.Config{}, transform.Requests(requests), prefixed(c.ResponsePrefix))), nil
}

// prefixed puts a text before those of responses.
func prefixed(prefix string) transform.Option {
	return transform.EditResponses(func(resp *pb.Resp) error {
		resp.Msg = prefix + resp.GetMsg()
		return nil
	})
}

type clientTransformConfig struct {
	head

	RequestPrefix  string  `json:"request_prefix"`
	ResponsePrefix string  `json:"response_prefix"`
	Repeat         *int    `json:"repeat"`
	Drop           *string `json:"drop"`
}

// newClientTransform changes requests, drops or repeats those of a stream, and
// changes responses.
func newClientTransform(_ *world, c clientTransformConfig) (part, error) {
	requests := func(call *hauberk.Call, req *pb.Req, emit func(*pb.Req) error) error {
		times := c.times(call, req)
		req.Msg = c.RequestPrefix + req.GetMsg()
		for range times {
			if err := emit(req); err != nil {
				return err
			}
		}
		return nil
	}
	return linked(transform.New(transform.Config{}, transform.Requests(requests), prefixed(c.ResponsePrefix))), nil
}

// times returns how often a request is sent.
func (c *clientTransformConfig) times(call *hauberk.Call, req *pb.Req) int {
	switch {
	case !call.Kind().ClientStreams():
		return 1
	case c.Drop != nil && req.GetMsg() == *c.Drop:
		return 0
	case c.Repeat != nil:
		return *c.Repeat
	default:
		return 1
	}
}
