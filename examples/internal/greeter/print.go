package greeter

import (
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// Check ends the program if err is not nil.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Outcome returns the code, the message and the reason of the end of a call.
func Outcome(err error) string {
	st := status.Convert(err)
	text := st.Code().String()
	if st.Message() != "" {
		text += fmt.Sprintf(" %q", st.Message())
	}
	if reason := hauberk.Reason(err); reason != "" {
		text += " " + reason
	}
	return text
}

// Logger writes to the standard output. It omits the attributes that differ in each run, and
// further ones.
func Logger(without ...string) *slog.Logger {
	dropped := map[string]bool{slog.TimeKey: true, logging.KeyPeerAddress: true, logging.KeyPeerPort: true}
	for _, key := range without {
		dropped[key] = true
	}
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug, // the level of successful calls of a client
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if dropped[a.Key] {
				return slog.Attr{}
			}
			return a
		},
	}))
}
