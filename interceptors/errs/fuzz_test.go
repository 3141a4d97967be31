package errs_test

import (
	"errors"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// FuzzFromStatus holds that a status of a peer keeps its code and its text, with any details, and that an
// error of a type has fields.
func FuzzFromStatus(f *testing.F) {
	table := newTable()
	for _, err := range []error{errMissing, &stockError{"hat", 2}, quotaError{Limit: 7}, &closedError{}, errBusy} {
		st, _ := table.ToStatus(err)
		text, _ := proto.Marshal(st.Proto())
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := new(spb.Status)
		if proto.Unmarshal(text, p) != nil {
			return
		}
		st := status.FromProto(p)
		err := table.FromStatus(st)
		if st.Code() == codes.OK {
			if err != nil {
				t.Fatalf("%v from OK", err)
			}
			return
		}
		if status.Code(err) != st.Code() || status.Convert(err).Message() != st.Message() {
			t.Fatalf("%v; want %v", err, st)
		}
		if e, ok := errors.AsType[*stockError](err); ok && (e == nil || e.Item == "") {
			t.Fatalf("%v has no item", e)
		}
	})
}
