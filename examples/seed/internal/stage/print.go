package stage

import (
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// Check ends the program if something failed that was not to fail.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Outcome says how a call ended: its code, message and reason.
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

// Logger writes to the standard output, without what differs from run to run and
// without some further attributes.
func Logger(without ...string) *slog.Logger {
	dropped := map[string]bool{slog.TimeKey: true, logging.KeyPeerAddress: true, logging.KeyPeerPort: true}
	for _, key := range without {
		dropped[key] = true
	}
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug, // of the good calls of a client
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if dropped[a.Key] {
				return slog.Attr{}
			}
			return a
		},
	}))
}
