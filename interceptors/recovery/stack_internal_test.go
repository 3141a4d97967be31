package recovery

import (
	"strings"
	"testing"
)

// lines turns frames, "function file", into a stack in the format of debug.Stack.
func lines(frames ...string) string {
	var b strings.Builder
	b.WriteString("goroutine 7 [running]:\n")
	for _, f := range frames {
		function, file, _ := strings.Cut(f, " ")
		if creator, ok := strings.CutPrefix(function, "+"); ok {
			b.WriteString("created by " + creator + " in goroutine 1\n\t" + file + " +0x1d\n")
			continue
		}
		b.WriteString(function + "(0xc000012345, {0x1, 0x2})\n\t" + file + " +0x1d\n")
	}
	return b.String()
}

const (
	debugStack = "runtime/debug.Stack /usr/local/go/src/runtime/debug/stack.go:26"
	guard      = "github.com/hauberk-rpc/hauberk.(*plan).recovered /m/hauberk/call_hooks.go:301"
	panicking  = "panic /usr/local/go/src/runtime/panic.go:860"
	add        = "example.com/shop/cart.(*Cart).Add /src/shop/cart/cart.go:42"
	serve      = "main.(*server).Add /src/shop/main.go:17"
	generated  = "example.com/shop/shoppb._Cart_Add_Handler.func1 /src/shop/shoppb/cart_grpc.pb.go:99"
	chain      = "github.com/hauberk-rpc/hauberk.(*serverUnary).finish /m/hauberk/server_unary.go:52"
	logged     = "github.com/hauberk-rpc/hauberk/interceptors/logging.(*Interceptor).Intercept /m/hauberk/l.go:1"
	grpcGo     = "google.golang.org/grpc.(*Server).processRPC /m/google.golang.org/grpc@v1.85.0/server.go:1450"
	transport  = "google.golang.org/grpc/internal/transport.(*T).f /m/google.golang.org/grpc@v1.85.0/t.go:1"
	creator    = "+google.golang.org/grpc.(*Server).initServerWorkers /m/google.golang.org/grpc@v1.85.0/server.go:706"
)

func TestCutStack(t *testing.T) {
	for _, test := range []struct {
		name  string
		stack []string
		own   []string
		at    string
	}{
		{
			"panic of a handler",
			[]string{debugStack, guard, panicking, add, serve, generated, chain, logged, grpcGo, transport, creator},
			[]string{add, serve, generated},
			"/src/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
		{
			"panic of the runtime",
			[]string{
				debugStack, guard, panicking, "runtime.panicmem /usr/local/go/src/runtime/panic.go:262",
				"runtime.sigpanic /usr/local/go/src/runtime/signal_unix.go:917", serve, grpcGo,
			},
			[]string{serve},
			"/src/shop/main.go:17 main.(*server).Add",
		},
		{
			"Goexit",
			[]string{debugStack, guard, "runtime.Goexit /usr/local/go/src/runtime/panic.go:694", add, grpcGo},
			[]string{add},
			"/src/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
		{
			"panic in a deferred function of the program",
			[]string{debugStack, guard, panicking, serve, panicking, add, grpcGo},
			[]string{serve, add},
			"/src/shop/main.go:17 main.(*server).Add",
		},
		{
			"deferred function of the program above the panic",
			[]string{debugStack, guard, serve, panicking, add, grpcGo},
			[]string{add},
			"/src/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
		{
			"panic of the standard library",
			[]string{debugStack, guard, panicking, "strings.Repeat /usr/local/go/src/strings/strings.go:624", add, grpcGo},
			[]string{"strings.Repeat /usr/local/go/src/strings/strings.go:624", add},
			"/src/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
		{
			"only the standard library",
			[]string{debugStack, guard, panicking, "strings.Repeat /usr/local/go/src/strings/strings.go:624", grpcGo},
			[]string{"strings.Repeat /usr/local/go/src/strings/strings.go:624"},
			"/usr/local/go/src/strings/strings.go:624 strings.Repeat",
		},
		{
			"trimmed paths",
			[]string{
				"runtime/debug.Stack runtime/debug/stack.go:26", guard, panicking, "strings.Repeat strings/strings.go:624",
				"example.com/shop/cart.(*Cart).Add example.com/shop/cart/cart.go:42", grpcGo,
			},
			[]string{"strings.Repeat strings/strings.go:624", "example.com/shop/cart.(*Cart).Add example.com/shop/cart/cart.go:42"},
			"example.com/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
		{
			"trimmed paths of a main package",
			[]string{"runtime/debug.Stack runtime/debug/stack.go:26", panicking, "main.main shop/main.go:3"},
			[]string{"main.main shop/main.go:3"},
			"shop/main.go:3 main.main",
		},
		{
			"modules of similar names",
			[]string{
				panicking, "google.golang.org/grpcx.F /m/x.go:1", "github.com/hauberk-rpc/hauberkx.F /m/y.go:2",
				"github.com/hauberk-rpc/hauberk/examples/shop.F /m/z.go:3", "runtimex.F /m/r.go:4",
			},
			[]string{
				"google.golang.org/grpcx.F /m/x.go:1", "github.com/hauberk-rpc/hauberkx.F /m/y.go:2",
				"github.com/hauberk-rpc/hauberk/examples/shop.F /m/z.go:3", "runtimex.F /m/r.go:4",
			},
			"/m/x.go:1 google.golang.org/grpcx.F",
		},
		{
			"a goroutine of the program",
			[]string{panicking, add, "+main.start /src/shop/main.go:9"},
			[]string{add, "+main.start /src/shop/main.go:9"},
			"/src/shop/cart/cart.go:42 example.com/shop/cart.(*Cart).Add",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			own, at := cutStack(lines(test.stack...))
			_, want, _ := strings.Cut(lines(test.own...), "\n")
			if own != want || at != test.at {
				t.Errorf("at %q:\n%s\nwant at %q:\n%s", at, own, test.at, want)
			}
		})
	}
}

// A stack without frames of the program stays whole.
func TestStackWithoutOwnFrames(t *testing.T) {
	for _, stack := range []string{"", "no stack\n", lines(debugStack, guard, panicking, chain, grpcGo, creator)} {
		if own, at := cutStack(stack); own != stack || at != "" {
			t.Errorf("%q becomes %q, at %q", stack, own, at)
		}
	}
}

func FuzzCutStack(f *testing.F) {
	f.Add(lines(debugStack, guard, panicking, add, grpcGo, creator))
	f.Add("a\n\tb\n\t\t\n...additional frames elided...\n\t(:\n")
	f.Fuzz(func(t *testing.T, stack string) {
		own, at := cutStack(stack)
		if len(own) > len(stack) || at != "" && !strings.Contains(at, " ") {
			t.Errorf("%q becomes %q, at %q", stack, own, at)
		}
	})
}
