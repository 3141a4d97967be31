package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// An interceptor may end a call with nil and without the response that the method requires. The
// call ends with Internal.
func TestNoResponse(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		m := metrics.New(metrics.Config{ExactMessages: true})
		out := c.Start(t, m, returning(nil)).Call(t.Context())
		want := codes.OK
		if !c.Kind.ServerStreams() {
			want = codes.Internal
		}
		if status.Code(out.Err) != want {
			t.Errorf("the call ended with %v, want %s", out.Err, want)
		}
		checkCounts(t, count(t, m, c), 1, want)
		checkMoved(t, m, c, 1, messages{})
	})
}

func TestCodes(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("wrapped: %w", err) }
	tests := []struct {
		name string
		err  error
		want codes.Code
	}{
		{"status", status.Error(codes.OutOfRange, ""), codes.OutOfRange},
		{"last code", status.Error(codes.Unauthenticated, ""), codes.Unauthenticated},
		{"undefined", status.Error(17, ""), codes.Unknown},
		{"huge", status.Error(1<<32-1, ""), codes.Unknown},
		{"wrapped status", wrapped(status.Error(codes.NotFound, "")), codes.NotFound},
		{"wrapped undefined", wrapped(status.Error(99, "")), codes.Unknown},
		{"plain", errors.New("plain"), codes.Unknown},
		{"EOF", io.EOF, codes.Unknown},
		{"cancelled", context.Canceled, codes.Canceled},
		{"deadline", wrapped(context.DeadlineExceeded), codes.DeadlineExceeded},
		{"status of OK", okError{}, codes.Unknown},
		{"nil status", nilError{}, codes.Unknown},
		{"rejection", wrapped(hauberk.Reject(codes.Aborted, "R", "")), codes.Aborted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := metrics.New(metrics.Config{})
			if err := called(chainOf(t, m, returning(test.err)), hauberktest.Conn{})("/s/m"); err == nil {
				t.Error("the call was OK")
			}
			s := m.Snapshot().Client.Methods["/s/m"]
			checkCounts(t, s, 1, test.want)
		})
	}
}

// okError and nilError have statuses that are not errors.
type (
	okError  struct{}
	nilError struct{}
)

func (okError) Error() string               { return "not OK" }
func (okError) GRPCStatus() *status.Status  { return status.New(codes.OK, "") }
func (nilError) Error() string              { return "no status" }
func (nilError) GRPCStatus() *status.Status { return nil }
