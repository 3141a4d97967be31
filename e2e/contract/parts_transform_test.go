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

// newMetadata changes the request metadata of a client.
func newMetadata(_ *world, c metadataConfig) (part, error) {
	set, setErr := rawMetadata(c.Set)
	add, addErr := rawMetadata(c.Add)
	change := transform.Metadata{Remove: c.Remove, Set: set, Add: add}
	return stateless(transform.New(transform.Config{Metadata: change})), errors.Join(setErr, addErr)
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

// newTimeout sets, caps or removes the deadline of a client.
func newTimeout(_ *world, c timeoutConfig) (part, error) {
	var config transform.Config
	switch {
	case c.MS == nil && c.Cap:
		return part{}, errors.New("ms is missing, so there is no cap")
	case c.MS == nil:
		config.NoTimeout = !c.OnlyIfAbsent
	case c.OnlyIfAbsent:
		config.DefaultTimeout = atLeast(*c.MS)
	case c.Cap:
		config.MaxTimeout = atLeast(*c.MS)
	default:
		config.Timeout = atLeast(*c.MS)
	}
	return stateless(transform.New(config)), nil
}

// atLeast returns a duration that is not the zero value of a configuration.
func atLeast(ms float64) time.Duration { return max(millis(ms), 1) }

type methodConfig struct {
	head

	To string `json:"to"`
}

// newMethod sends the calls of a client to another method.
func newMethod(_ *world, c methodConfig) (part, error) {
	return stateless(transform.New(transform.Config{Method: c.To})), nil
}

// newCompression compresses the requests of a client.
func newCompression(*world, head) (part, error) {
	return stateless(transform.New(transform.Config{Compressor: "gzip"})), nil
}

type headersConfig struct {
	head

	Initial  []pair `json:"initial"`
	Trailing []pair `json:"trailing"`
}

// newHeaders adds headers and trailers on a server.
func newHeaders(_ *world, c headersConfig) (part, error) {
	header, headerErr := metadataOf(c.Initial)
	trailer, trailerErr := metadataOf(c.Trailing)
	return stateless(transform.New(transform.Config{Header: header, Trailer: trailer})), errors.Join(headerErr, trailerErr)
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
	return stateless(c.interceptor()), nil
}

// newClientMapStatus replaces a status on a client, in calls with one response.
func newClientMapStatus(_ *world, c mapStatusConfig) (part, error) {
	single := func(call *hauberk.Call) bool { return !call.Kind().ServerStreams() }
	return stateless(hauberk.When(single, c.interceptor())), nil
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
	return stateless(transform.New(transform.Config{}, transform.Requests(requests), prefixed(c.ResponsePrefix))), nil
}

// prefixed adds a prefix to the texts of responses.
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

// newClientTransform changes requests and responses, and drops or repeats requests of a stream.
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
	return stateless(transform.New(transform.Config{}, transform.Requests(requests), prefixed(c.ResponsePrefix))), nil
}

// times returns the number of times that a request is sent.
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
