package wrongside_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/wrongside"
)

func TestErrors(t *testing.T) {
	for want, err := range map[string]error{
		"hauberk: x.New is for clients, and this is the chain of a server": wrongside.ForClients("x.New"),
		"hauberk: x.New is for servers, and this is the chain of a client": wrongside.ForServers("x.New"),
	} {
		if st := hauberk.StatusOf(err); st.Code() != codes.Internal || st.Message() != want {
			t.Errorf("%v, want INTERNAL, %s", st, want)
		}
		if hauberk.RejectionOf(err) != nil {
			t.Error("it is a rejection")
		}
	}
}
