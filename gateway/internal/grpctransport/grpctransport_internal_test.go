package grpctransport

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

func TestMargin(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		time.Hour:              10 * time.Millisecond,
		100 * time.Millisecond: 10 * time.Millisecond,
		50 * time.Millisecond:  5 * time.Millisecond,
		time.Millisecond:       100 * time.Microsecond,
		0:                      0,
		-time.Second:           0,
	} {
		if got := transport.Margin(left); got != want {
			t.Errorf("Margin(%v) = %v, want %v", left, got, want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	const text = "grpc-status-details-bin mismatch: grpc-status="
	details := metadata.MD{detailsKey: {"x"}}
	tests := []struct {
		name    string
		err     error
		trailer metadata.MD
		want    transport.Status
	}{
		{"OK", io.EOF, nil, transport.Status{}},
		{"OK with details", io.EOF, details, transport.Status{Details: []string{"x"}}},
		{"error", status.Error(codes.NotFound, "no"), nil, transport.Status{Code: codes.NotFound, Message: "no"}},
		{"plain error", errors.New("x"), nil, transport.Status{Code: codes.Unknown, Message: "x"}},
		{
			"mismatch", status.Error(codes.Internal, text+`NotFound, grpc-message="a \"b\", c\n", grpc-status-details-bin=code:5`), details,
			transport.Status{Code: codes.NotFound, Message: "a \"b\", c\n", Details: []string{"x"}},
		},
		{
			"mismatch of an OK", status.Error(codes.Internal, text+`OK, grpc-message="", grpc-status-details-bin=code:5`), details,
			transport.Status{Details: []string{"x"}},
		},
		{
			"mismatch of an unknown code", status.Error(codes.Internal, text+`Code(42), grpc-message="m", grpc-status-details-bin=`), details,
			transport.Status{Code: 42, Message: "m", Details: []string{"x"}},
		},
		{
			"a similar message without details", status.Error(codes.Internal, text+`NotFound, grpc-message="m", `), nil,
			transport.Status{Code: codes.Internal, Message: text + `NotFound, grpc-message="m", `},
		},
		{
			"a similar message, truncated", status.Error(codes.Internal, text+`NotFound, grpc-message="m`), details,
			transport.Status{Code: codes.Internal, Message: text + `NotFound, grpc-message="m`, Details: []string{"x"}},
		},
		{
			"a similar message with an invalid code", status.Error(codes.Internal, text+`Nothing, grpc-message="m", `), details,
			transport.Status{Code: codes.Internal, Message: text + `Nothing, grpc-message="m", `, Details: []string{"x"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, statusOf(tt.err, tt.trailer)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCodeNamedIsTheInverseOfString(t *testing.T) {
	for c := range codes.Code(50) {
		if got, ok := codeNamed(c.String()); !ok || got != c {
			t.Errorf("codeNamed(%q) = %v, %v", c.String(), got, ok)
		}
	}
}

func FuzzStatusOf(f *testing.F) {
	f.Add("grpc-status-details-bin mismatch: grpc-status=NotFound, grpc-message=\"m\", ", "\x08\x05")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, message, details string) {
		err := status.Error(codes.Internal, message)
		if st := statusOf(err, metadata.MD{detailsKey: {details}}); len(st.Details) != 1 || st.Details[0] != details {
			t.Errorf("the details became %q", st.Details)
		}
	})
}

// counted is a buffer that counts its references.
type counted struct {
	mem.SliceBuffer

	refs int
}

func (c *counted) Ref()  { c.refs++ }
func (c *counted) Free() { c.refs-- }

// grpc-go's reference and the message's are counted separately.
func TestCodecCountsReferences(t *testing.T) {
	buf := &counted{SliceBuffer: mem.SliceBuffer("x"), refs: 1}
	data := mem.BufferSlice{buf}
	var msg transport.Message
	if err := (codec{}).Unmarshal(data, &msg); err != nil || buf.refs != 2 {
		t.Fatal(err, buf.refs)
	}
	data.Free()
	out, err := codec{}.Marshal(&msg)
	if err != nil || buf.refs != 2 {
		t.Fatal(err, buf.refs)
	}
	out.Free()
	again := &counted{SliceBuffer: mem.SliceBuffer("y"), refs: 1}
	if err := (codec{}).Unmarshal(mem.BufferSlice{again}, &msg); err != nil || buf.refs != 0 || again.refs != 2 {
		t.Fatalf("a reused message: %v, %d and %d references", err, buf.refs, again.refs)
	}
	msg.Free()
	msg.Free()
	if again.refs != 1 {
		t.Errorf("%d references are left, want that of grpc-go", again.refs)
	}
}

func TestCodecRejectsOtherTypes(t *testing.T) {
	if _, err := (codec{}).Marshal("x"); err == nil {
		t.Error("Marshal accepts a string")
	}
	if err := (codec{}).Unmarshal(nil, new(string)); err == nil {
		t.Error("Unmarshal accepts a string")
	}
}
