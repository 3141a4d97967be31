package idempotency

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// FuzzDecode: no text makes decode panic, and what it accepts is encoded and decoded to the same.
func FuzzDecode(f *testing.F) {
	md := metadata.Pairs("a", "1", "a", "2", "b-bin", "\xff")
	for _, o := range []*outcome{
		outcomeOf(&testpb.Response{Text: "x"}, nil, md, nil),
		outcomeOf(nil, status.Error(codes.NotFound, "n"), nil, md),
		outcomeOf(nil, errors.New("plain"), md, md),
		{kind: lost},
	} {
		f.Add(o.encode(1 << 20))
	}
	f.Add([]byte{version, byte(ok), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := decode(text, nil)
		if err != nil {
			return
		}
		once := o.encode(1 << 20)
		again, err := decode(once, nil)
		if err != nil || !bytes.Equal(again.encode(1<<20), once) {
			t.Errorf("%x is decoded to %+v, and that to %+v, %v", text, o, again, err)
		}
	})
}
