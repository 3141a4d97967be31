package stage

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Shop is a service that gives each request an answer, three where its method
// streams them. An answer takes 20 ms of a clock that no one has to wait for, so
// that durations are the same in each run. The request "fail" ends a call with
// NOT_FOUND in place of the last answer, "wait" has it wait for its end by the caller
// after the first.
func Shop(clock *hauberktest.Clock) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: shop{clock}.serve}
}

type shop struct{ clock *hauberktest.Clock }

func (s shop) serve(ctx context.Context, stream hauberktest.Stream) error {
	text, err := requested(stream)
	if err != nil {
		return err
	}
	answers := 1
	if method := stream.Method(); strings.HasSuffix(method, "/ServerStream") || strings.HasSuffix(method, "/Bidi") {
		answers = 3
	}
	for left := answers; left > 0; left-- {
		s.clock.Advance(20 * time.Millisecond)
		if text == "fail" && left == 1 {
			return status.Error(codes.NotFound, "no such thing")
		}
		if err := stream.Send(&testpb.Response{Text: text}); err != nil {
			return err
		}
		if text == "wait" {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return nil
}

// requested reads all requests and returns the text of the last.
func requested(stream hauberktest.Stream) (text string, err error) {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return "", err
		}
		text = req.GetText()
	}
}
