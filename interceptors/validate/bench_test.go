package validate_test

import (
	"context"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

// BenchmarkUnary is a unary call on a server behind a chain: without interceptors, with the
// interceptor for a valid and an invalid request, and for a request of an excepted method. The
// validator alone is shown next to them.
func BenchmarkUnary(b *testing.B) {
	valid, invalid := order("a"), badOrder()
	b.Run("validator alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = protovalidate.Validate(valid)
		}
	})
	for _, c := range []struct {
		name  string
		order *checkpb.Order
		chain []hauberk.Interceptor
	}{
		{"empty chain", valid, nil},
		{"valid", valid, []hauberk.Interceptor{validate.New(validate.Config{})}},
		{"invalid", invalid, []hauberk.Interceptor{validate.New(validate.Config{})}},
		{"excepted", invalid, []hauberk.Interceptor{validate.New(validate.Config{Except: []string{"*"}})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			intercept := hauberk.Must(hauberk.New(c.chain...)).UnaryServerInterceptor()
			info := &grpc.UnaryServerInfo{FullMethod: checkpb.CheckService_Unary_FullMethodName}
			receipt := &checkpb.Receipt{Id: "a"}
			handler := func(context.Context, any) (any, error) { return receipt, nil }
			b.ReportAllocs()
			for b.Loop() {
				_, _ = intercept(b.Context(), c.order, info, handler)
			}
		})
	}
}
