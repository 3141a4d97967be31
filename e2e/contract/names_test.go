package contract_test

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// kindNames are grpcio's names of the kinds, in the order in which "all" runs
// them, and the method of each.
var kindNames = []struct {
	name   string
	kind   hauberk.Kind
	method string
}{
	{"unary_unary", hauberk.Unary, "Unary"},
	{"unary_stream", hauberk.ServerStream, "ServerStream"},
	{"stream_unary", hauberk.ClientStream, "ClientStream"},
	{"stream_stream", hauberk.Bidi, "Bidi"},
}

func kindNamed(name string) (hauberk.Kind, error) {
	for _, k := range kindNames {
		if k.name == name {
			return k.kind, nil
		}
	}
	return 0, fmt.Errorf("the kind %q is not known", name)
}

func kindName(kind hauberk.Kind) string {
	for _, k := range kindNames {
		if k.kind == kind {
			return k.name
		}
	}
	return kind.String()
}

func methodOf(kind hauberk.Kind) string {
	for _, k := range kindNames {
		if k.kind == kind {
			return k.method
		}
	}
	return ""
}

// codeName returns gRPC's name of a code, such as "NOT_FOUND".
func codeName(c codes.Code) string { return code.Code(c).String() }

// codeNamed is a code that is written with gRPC's name.
type codeNamed codes.Code

// UnmarshalText reads "NOT_FOUND".
func (c *codeNamed) UnmarshalText(name []byte) error {
	n, ok := code.Code_value[string(name)]
	if !ok {
		return fmt.Errorf("the code %q is not known", name)
	}
	*c = codeNamed(n)
	return nil
}

func (c codeNamed) code() codes.Code { return codes.Code(c) }
