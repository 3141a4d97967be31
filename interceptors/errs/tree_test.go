package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// tree makes an error from bytes, with the codes that its errors decide, in the order of errors.Is.
type tree struct {
	rest  []byte
	codes []codes.Code
}

func (b *tree) byte() byte {
	if len(b.rest) == 0 {
		return 0
	}
	first := b.rest[0]
	b.rest = b.rest[1:]
	return first
}

// decides notes the code that an error decides.
func (b *tree) decides(code codes.Code) { b.codes = append(b.codes, code) }

// grow returns an error.
func (b *tree) grow(depth int) error {
	what := b.byte()
	if depth > 20 {
		what %= 7
	}
	switch what % 12 {
	case 1:
		b.decides(codes.NotFound)
		return errMissing
	case 2:
		b.decides(codes.FailedPrecondition)
		return &stockError{"hat", int32(what)}
	case 3:
		b.decides(codes.OutOfRange)
		return status.Error(codes.OutOfRange, "a status")
	case 4:
		b.decides(codes.Canceled)
		return context.Canceled
	case 5:
		b.decides(codes.DeadlineExceeded)
		return context.DeadlineExceeded
	case 6:
		b.decides(codes.AlreadyExists)
		return hauberk.Reject(codes.AlreadyExists, "EXISTS", "a rejection")
	case 7:
		return fmt.Errorf("secret: %w", b.grow(depth+1))
	case 8:
		return errors.Join(b.grow(depth+1), b.grow(depth+1))
	case 9:
		return fmt.Errorf("secret: %w, %w, %w", b.grow(depth+1), b.grow(depth+1), b.grow(depth+1))
	case 10:
		b.decides(codes.ResourceExhausted)
		return quotaError{int(what), b.grow(depth + 1)}
	case 11:
		return okError{b.grow(depth + 1)}
	default:
		return errors.New("secret")
	}
}

// FuzzTree holds that the first error of a tree that decides is that of the status, and that no other text is sent.
func FuzzTree(f *testing.F) {
	for _, seed := range []string{"", "\x01", "\x07\x08\x00\x02", "\x09\x00\x04\x03", "\x0a\x03", "\x0b\x03", "\x08\x0b\x00\x06", "\x08\x04\x05"} {
		f.Add([]byte(seed))
	}
	x := errs.New(errs.Config{}, newTable())
	chain := hauberk.Must(hauberk.New(x))
	var handled error
	serve := hauberktest.Direct{Service: failing(func() error { return handled })}.Server(chain)
	f.Fuzz(func(t *testing.T, from []byte) {
		b := &tree{rest: from}
		handled = b.grow(0)
		want := codes.Unknown
		if len(b.codes) > 0 {
			want = b.codes[0]
		}
		got := serve(context.Background())
		if status.Code(got) != want {
			t.Fatalf("%v became %v; want %v", handled, got, want)
		}
		if strings.Contains(status.Convert(got).String(), "secret") {
			t.Fatalf("%v became %v, which has a secret", handled, got)
		}
		if (errs.Reference(got) != "") != (len(b.codes) == 0) {
			t.Fatalf("%v became %v, with the reference %q", handled, got, errs.Reference(got))
		}
	})
}
