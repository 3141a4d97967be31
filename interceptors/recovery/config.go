package recovery

import "github.com/hauberk-rpc/hauberk/internal/lognames"

// DefaultMessage is the default message of the status of a call that panicked.
const DefaultMessage = "internal error"

// Config defines how calls that panicked end. The zero value is ready for use.
type Config struct {
	// Message is the message of the INTERNAL status, the same for every panic. The
	// default is DefaultMessage.
	Message string
	// LogValues logs the text of every panic's value. The text may hold secrets.
	// Otherwise the record has only the type of the value, and the text of the runtime's
	// own panics ("index out of range …").
	LogValues bool
	// Names replaces names of the record's attributes. The default is
	// OpenTelemetryNames.
	Names Names
}

// The default names of the attributes of a panic's record: those of OpenTelemetry's
// semantic conventions where these have one, and otherwise those of package logging.
const (
	KeySystem    = "rpc.system.name"      // "grpc"
	KeySide      = "rpc.side"             // "server" or "client"
	KeyService   = "rpc.service"          // "shop.v1.Cart"
	KeyMethod    = "rpc.method"           // "shop.v1.Cart/Get"
	KeyKind      = "rpc.kind"             // "unary", "client_stream", "server_stream" or "bidi_stream"
	KeyPanicType = "exception.type"       // of the value: "*errors.errorString"
	KeyPanic     = "exception.message"    // the text of the value
	KeyPanicAt   = "panic_at"             // "/src/shop/cart.go:42 example.com/shop/cart.(*Cart).Get"
	KeyStack     = "exception.stacktrace" // in the format of runtime/debug.Stack
)

// Names are the names of the attributes of a panic's record. An empty field has the name
// of [OpenTelemetryNames]; the name "-" leaves the attribute out. Two attributes must not
// have the same name.
type Names struct {
	// System is that of the constant "grpc".
	System string
	// Side, Service and Kind describe the call. Method is the fully-qualified method,
	// "shop.v1.Cart/Get", and ShortMethod its last part, "Get".
	Side, Service, Method, ShortMethod, Kind string
	// PanicType is the type of the panic's value, and Panic its text.
	PanicType, Panic string
	// PanicAt is the place of the panic: file, line and function of the first frame of
	// the program.
	PanicAt string
	// Stack is the stack of the panic.
	Stack string
}

// OpenTelemetryNames returns the default names. They leave out ShortMethod.
func OpenTelemetryNames() Names {
	return Names{
		System: KeySystem, Side: KeySide, Service: KeyService, Method: KeyMethod, ShortMethod: lognames.Out,
		Kind: KeyKind, PanicType: KeyPanicType, Panic: KeyPanic, PanicAt: KeyPanicAt, Stack: KeyStack,
	}
}

// MiddlewareNames returns names for programs whose records of calls have the names of
// go-grpc-middleware, as with logging.MiddlewareNames.
func MiddlewareNames() Names {
	return Names{
		System: "protocol", Side: "grpc.component", Service: "grpc.service", Method: lognames.Out,
		ShortMethod: "grpc.method", Kind: "grpc.method_type",
		PanicType: "grpc.panic_type", Panic: "grpc.panic", PanicAt: KeyPanicAt, Stack: "grpc.stack",
	}
}
