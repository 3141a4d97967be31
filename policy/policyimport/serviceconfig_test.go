package policyimport_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy/policyimport"
)

// An imported policy has the meaning of gRFC A6 for settings that are absent, 0, or above what grpc-go uses: of hedges no
// delay and no code that is not fatal, at most five attempts, and backoffs of at most maxBackoff.
func TestServiceConfig(t *testing.T) {
	const backoff = `"backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]`
	for _, c := range []struct{ policy, want string }{
		{`"timeout": "1s"`, "deadline|max: 1s"},
		{`"hedgingPolicy": {"maxAttempts": 3}`, "hedge|max_attempts: 3|no_delay: true|non_fatal_status_codes: []"},
		{
			`"hedgingPolicy": {"maxAttempts": 9, "hedgingDelay": "0s", "nonFatalStatusCodes": ["ABORTED", 14]}`,
			"hedge|max_attempts: 5|no_delay: true|non_fatal_status_codes: [ABORTED, UNAVAILABLE]",
		},
		{
			`"hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "0.05s"}`,
			"hedge|max_attempts: 2|delay: 50ms|non_fatal_status_codes: []",
		},
		{
			`"retryPolicy": {"maxAttempts": 9, "initialBackoff": "2s", "maxBackoff": "1s", ` + backoff + `}`,
			"retry|max_attempts: 5|initial_backoff: 1s|max_backoff: 1s|backoff_multiplier: 2|" +
				"retryable_status_codes: [UNAVAILABLE]|max_replay_bytes: 262144",
		},
	} {
		text := `{"methodConfig": [{"name": [{"service": "a.B"}], ` + c.policy + `}]}`
		file, _, err := policyimport.ServiceConfig([]byte(text))
		use, settings, _ := strings.Cut(c.want, "|")
		want := "version: 1\nclient:\n  - use: " + use + "\n    methods: [\"a.B/*\"]\n    " +
			strings.ReplaceAll(settings, "|", "\n    ") + "\n"
		if err != nil || string(file) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", text, err, file, want)
		}
	}
}
